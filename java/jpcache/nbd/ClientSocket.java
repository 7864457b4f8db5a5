package jpcache.nbd;

import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * One client's socket, and what its thread sleeps on: the socket and a {@link Wakeup}. The plain
 * transport, which holds nothing back.
 */
final class ClientSocket implements Transport {
  private static final int EVENTS = 4;
  private static final int READY_EVENTS = 6;
  private static final int SCRATCH = 2 * Sockets.POLL_BYTES;
  private static final int NATIVE_BYTES = SCRATCH + Long.BYTES;

  private final int fd;
  private final Wakeup wakeup;
  private final long polls;

  /** Asked for while it is there: of a connection that was reset the kernel tells nothing. */
  private final String peer;

  /** Takes the descriptor over, also when this fails. */
  ClientSocket(int fd) {
    this.fd = fd;
    peer = SocketAddress.ofPeer(fd);
    long allocated = 0;
    try {
      allocated = NativeMemory.allocate(NATIVE_BYTES);
      wakeup = new Wakeup();
    } catch (UserException | OutOfMemoryError e) {
      Posix.close(fd);
      if (allocated != 0) {
        NativeMemory.free(allocated, NATIVE_BYTES);
      }
      throw e;
    }
    polls = allocated;
    NativeMemory.hostInt(polls, fd);
    NativeMemory.hostInt(polls + Sockets.POLL_BYTES, wakeup.fd());
    NativeMemory.hostShort(polls + Sockets.POLL_BYTES + EVENTS, (short) Sockets.POLLIN);
  }

  @Override
  public Wakeup wakeup() {
    return wakeup;
  }

  @Override
  public long receive(long address, int bytes) {
    return Sockets.receive(fd, address, bytes);
  }

  @Override
  public long send(long message) {
    return Sockets.send(fd, message);
  }

  @Override
  public boolean sendsMemoryThatMayFail() {
    return true;
  }

  @Override
  public boolean hasUnsent() {
    return false;
  }

  @Override
  public int await(int events, int timeoutMs) {
    NativeMemory.hostShort(polls + EVENTS, (short) events);
    if (Sockets.poll(polls, 2, timeoutMs) <= 0) {
      return 0;
    }
    int ready = NativeMemory.hostShort(polls + READY_EVENTS) & 0xFFFF;
    if (NativeMemory.hostShort(polls + Sockets.POLL_BYTES + READY_EVENTS) != 0) {
      wakeup.clear(polls + SCRATCH);
      ready |= WOKEN;
    }
    return ready;
  }

  @Override
  public String peer() {
    return peer;
  }

  @Override
  public void endOutput() {
    Sockets.shutdown(fd, Sockets.SHUT_WR);
  }

  @Override
  public void close() {
    Posix.close(fd);
    wakeup.close();
    NativeMemory.free(polls, NATIVE_BYTES);
  }
}
