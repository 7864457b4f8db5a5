package jpcache.nbd;

import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * One client's socket, and what its thread sleeps on: the socket and a {@link Wakeup}.
 *
 * <p>Everything that goes to and comes from a client passes here.
 */
final class ClientSocket implements AutoCloseable {
  /** Beside poll's own bits: somebody raised the wakeup. */
  static final int WOKEN = 1 << 16;

  private static final int EVENTS = 4;
  private static final int READY_EVENTS = 6;
  private static final int SCRATCH = 2 * Sockets.POLL_BYTES;
  private static final int NATIVE_BYTES = SCRATCH + Long.BYTES;

  private final int fd;
  private final Wakeup wakeup;
  private final long polls;

  /** Takes the descriptor over, also when this fails. */
  ClientSocket(int fd) {
    this.fd = fd;
    try {
      wakeup = new Wakeup();
    } catch (UserException e) {
      Posix.close(fd);
      throw e;
    }
    polls = NativeMemory.allocate(NATIVE_BYTES);
    NativeMemory.hostInt(polls, fd);
    NativeMemory.hostInt(polls + Sockets.POLL_BYTES, wakeup.fd());
    NativeMemory.hostShort(polls + Sockets.POLL_BYTES + EVENTS, (short) Sockets.POLLIN);
  }

  Wakeup wakeup() {
    return wakeup;
  }

  /** What has arrived; 0 at the end; {@code -EAGAIN} if nothing has. Never waits. */
  long receive(long address, int bytes) {
    return Sockets.receive(fd, address, bytes);
  }

  /** Sends a struct msghdr as far as the socket takes it. Never waits. */
  long send(long message) {
    return Sockets.send(fd, message);
  }

  /**
   * Sleeps until the socket is ready for {@code events} (or broken), or the wakeup is raised, or
   * {@code timeoutMs} have passed (-1: for ever).
   *
   * @return the socket's ready events, and {@link #WOKEN}; 0 if neither
   */
  int await(int events, int timeoutMs) {
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

  /**
   * Sends bytes whole, waiting where need be: for negotiation, where there is nothing else to do.
   *
   * @return false if the client is gone or did not take them until {@code deadlineNanos}
   */
  boolean sendAll(byte[] bytes, long deadlineNanos) {
    if (bytes.length == 0) {
      return true;
    }
    final int dataOffset = 128;
    long message = NativeMemory.allocate(dataOffset + bytes.length);
    try {
      long part = message + Sockets.MESSAGE_BYTES;
      NativeMemory.copy(bytes, 0, message + dataOffset, bytes.length);
      NativeMemory.hostLong(message + 16, part);
      NativeMemory.hostLong(message + 24, 1);
      int sent = 0;
      while (true) {
        NativeMemory.hostLong(part, message + dataOffset + sent);
        NativeMemory.hostLong(part + 8, bytes.length - sent);
        long n = send(message);
        if (n > 0) {
          sent += (int) n;
        } else if (n != -Errno.EAGAIN) {
          return false;
        }
        if (sent == bytes.length) {
          return true;
        }
        int leftMs = millisUntil(deadlineNanos);
        if (leftMs <= 0) {
          return false;
        }
        await(Sockets.POLLOUT, leftMs);
      }
    } finally {
      NativeMemory.free(message, dataOffset + bytes.length);
    }
  }

  /** Milliseconds, rounded up, until {@link System#nanoTime} reaches a value. */
  static int millisUntil(long deadlineNanos) {
    long left = deadlineNanos - System.nanoTime();
    return left <= 0 ? 0 : (int) Math.min(Integer.MAX_VALUE, left / 1_000_000 + 1);
  }

  /** No more is sent: the client sees the end after what it was sent. */
  void endOutput() {
    Sockets.shutdown(fd, Sockets.SHUT_WR);
  }

  @Override
  public void close() {
    Posix.close(fd);
    wakeup.close();
    NativeMemory.free(polls, NATIVE_BYTES);
  }
}
