package jpcache.nbd;

import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import jpcache.base.Errno;
import jpcache.tls.TlsEngine;
import org.jspecify.annotations.Nullable;

/**
 * TLS over a connection.
 *
 * <p>Memory: incoming, up to {@link #IN_BYTES} that are not decrypted yet. Outgoing, up to {@link
 * #OUT_BYTES} that are encrypted, and as much and one record more in the engine; what receiving has
 * to answer may add {@link #ANSWER_BYTES}, then no more is received.
 *
 * <p>The lock guards the engine and what goes out, since one thread may send while the connection's
 * receives. It is taken after {@link ReplyQueue}'s send lock, and held for the encryption of as
 * much as one call moves, never while waiting.
 */
final class TlsTransport implements Transport {
  private static final int IN_BYTES = 64 << 10;
  private static final int OUT_BYTES = 128 << 10;
  private static final int ANSWER_BYTES = 64 << 10;
  private static final int PART_BYTES = TlsEngine.MAX_PART_BYTES;
  private static final int OUT_OFFSET = 128; // behind struct msghdr and its one part
  private static final int NATIVE_BYTES = OUT_OFFSET + OUT_BYTES + IN_BYTES;

  private final Transport below;
  private final TlsEngine engine;
  private final long memory = NativeMemory.allocate(NATIVE_BYTES);
  private final long out = memory + OUT_OFFSET;
  private final long in = out + OUT_BYTES;

  // The connection's thread's.
  private final byte[] inPart = new byte[PART_BYTES];
  private int inStart;
  private int inEnd;
  private boolean outputEnded;

  // Under the lock.
  private final ReentrantLock lock = new ReentrantLock();
  private final byte[] outPart = new byte[PART_BYTES];
  private int outStart;
  private int outEnd;
  private long brokenBy;
  private volatile boolean unsent;
  private volatile boolean clogged;

  TlsTransport(Transport below, TlsEngine engine) {
    this.below = below;
    this.engine = engine;
    long part = memory + Sockets.MESSAGE_BYTES;
    NativeMemory.hostLong(memory + Sockets.MESSAGE_PARTS, part);
    NativeMemory.hostLong(memory + Sockets.MESSAGE_PART_COUNT, 1);
  }

  /**
   * Plays the handshake.
   *
   * @return why it failed; null if it did not
   */
  @Nullable String handshake(long deadlineNanos, BooleanSupplier stopping) {
    while (!engine.established()) {
      long n = receive(0, 0);
      if (!engine.failure().isEmpty()) {
        return engine.failure();
      }
      if (engine.established()) {
        return null;
      }
      if (n == 0) {
        return "the client left during the handshake";
      }
      if (n != -Errno.EAGAIN) {
        return Errno.text((int) -n);
      }
      int leftMs = Transport.millisUntil(deadlineNanos);
      if (leftMs == 0) {
        return "the handshake took too long";
      }
      if (stopping.getAsBoolean()) {
        return "the server stops";
      }
      await(Sockets.POLLIN | (unsent ? Sockets.POLLOUT : 0), leftMs);
      flush();
    }
    return null;
  }

  // ---- In ----------------------------------------------------------------------------------

  @Override
  public long receive(long address, int bytes) {
    if (outputEnded) {
      return discard();
    }
    int got = 0;
    // Records without plaintext may come without end: their client is left now and then, too.
    int receives = 1 + bytes / IN_BYTES;
    while (true) {
      int n = decrypted(address + got, bytes - got);
      got += n;
      if ((got == bytes && bytes > 0) || (bytes == 0 && engine.established())) {
        return got;
      }
      if (engine.ended()) {
        return got > 0 || engine.failure().isEmpty() ? got : -Errno.EIO;
      }
      if (inStart == inEnd) {
        long arrived = receives > 0 ? receiveRecords() : -Errno.EAGAIN;
        if (arrived <= 0) {
          return got > 0 ? got : arrived;
        }
        receives--;
      }
      decrypt();
    }
  }

  /** A client that makes us answer and does not read is not listened to. */
  private long receiveRecords() {
    if (clogged) {
      flush();
    }
    long arrived = clogged ? -Errno.EAGAIN : below.receive(in, IN_BYTES);
    inStart = 0;
    inEnd = (int) Math.max(0, arrived);
    return arrived;
  }

  /** After the end of the output nobody wants what comes, but the socket must not keep it. */
  private long discard() {
    if (unsent) {
      sendEnd();
    }
    long arrived = below.receive(in, IN_BYTES);
    return arrived > 0 ? -Errno.EAGAIN : arrived;
  }

  /** Moves plaintext that is there into place. */
  private int decrypted(long address, int bytes) {
    int moved = 0;
    lock.lock();
    try {
      while (moved < bytes && engine.available() > 0) {
        int n = engine.read(inPart, 0, Math.min(PART_BYTES, bytes - moved));
        NativeMemory.copy(inPart, 0, address + moved, n);
        moved += n;
      }
    } finally {
      lock.unlock();
    }
    return moved;
  }

  private void decrypt() {
    int n = Math.min(PART_BYTES, inEnd - inStart);
    NativeMemory.copy(in + inStart, inPart, 0, n);
    inStart += n;
    lock.lock();
    try {
      engine.offer(inPart, n);
      flush();
    } finally {
      lock.unlock();
    }
  }

  // ---- Out ---------------------------------------------------------------------------------

  @Override
  public long send(long message) {
    lock.lock();
    try {
      flush();
      if (brokenBy != 0) {
        return brokenBy;
      }
      long parts = NativeMemory.hostLong(message + Sockets.MESSAGE_PARTS);
      long count = NativeMemory.hostLong(message + Sockets.MESSAGE_PART_COUNT);
      long taken = encrypt(parts, count);
      flush();
      return taken > 0 || count == 0 ? taken : brokenBy != 0 ? brokenBy : -Errno.EAGAIN;
    } finally {
      lock.unlock();
    }
  }

  /** Gathers parts into records until the room for what is encrypted is full. */
  private long encrypt(long parts, long count) {
    long taken = 0;
    int filled = 0;
    for (int i = 0; i < count; i++) {
      long from = NativeMemory.hostLong(parts + (long) i * Sockets.PART_BYTES);
      long left = NativeMemory.hostLong(parts + (long) i * Sockets.PART_BYTES + Long.BYTES);
      while (left > 0) {
        if (filled == 0 && !hasRoom()) {
          return taken;
        }
        int n = (int) Math.min(left, PART_BYTES - filled);
        NativeMemory.copy(from, outPart, filled, n);
        from += n;
        left -= n;
        taken += n;
        filled += n;
        if (filled == PART_BYTES) {
          write(filled);
          filled = 0;
        }
      }
    }
    write(filled);
    return taken;
  }

  private boolean hasRoom() {
    if (engine.pending() >= OUT_BYTES) {
      flush();
    }
    return brokenBy == 0 && engine.pending() < OUT_BYTES;
  }

  private void write(int bytes) {
    if (bytes > 0 && !engine.write(outPart, 0, bytes)) {
      brokenBy = -Errno.EPIPE;
    }
  }

  /** Sends what is encrypted as far as the socket takes it. */
  private void flush() {
    lock.lock();
    try {
      while (brokenBy == 0 && (outStart < outEnd || engine.pending() > 0)) {
        if (outStart == outEnd) {
          refill();
        }
        long part = memory + Sockets.MESSAGE_BYTES;
        NativeMemory.hostLong(part, out + outStart);
        NativeMemory.hostLong(part + Long.BYTES, outEnd - outStart);
        long n = below.send(memory);
        if (n > 0) {
          outStart += (int) n;
        } else if (n == -Errno.EAGAIN) {
          break;
        } else {
          brokenBy = n;
        }
      }
      unsent = brokenBy == 0 && (outStart < outEnd || engine.pending() > 0);
      // Replies alone never come to that: who has not read them may still send.
      clogged = brokenBy == 0 && engine.pending() >= OUT_BYTES + ANSWER_BYTES;
    } finally {
      lock.unlock();
    }
  }

  private void refill() {
    outStart = 0;
    outEnd = 0;
    while (engine.pending() > 0 && outEnd < OUT_BYTES) {
      int n = engine.take(outPart, 0, Math.min(PART_BYTES, OUT_BYTES - outEnd));
      NativeMemory.copy(outPart, 0, out + outEnd, n);
      outEnd += n;
    }
  }

  /** Not what our own code encrypts: only a system call is told of a failing page. */
  @Override
  public boolean sendsMemoryThatMayFail() {
    return false;
  }

  @Override
  public boolean hasUnsent() {
    return unsent;
  }

  // ---- The connection ----------------------------------------------------------------------

  @Override
  public Wakeup wakeup() {
    return below.wakeup();
  }

  @Override
  public int await(int events, int timeoutMs) {
    if (outputEnded) {
      return below.await(unsent ? events | Sockets.POLLOUT : events, timeoutMs);
    }
    boolean buffered = (events & Sockets.POLLIN) != 0 && (inStart < inEnd || plaintextWaits());
    int polled = clogged ? (events & ~Sockets.POLLIN) | Sockets.POLLOUT : events;
    int ready = below.await(polled, buffered ? 0 : timeoutMs);
    return buffered ? ready | Sockets.POLLIN : ready;
  }

  private boolean plaintextWaits() {
    lock.lock();
    try {
      return engine.available() > 0;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public String peer() {
    return below.peer();
  }

  @Override
  public void endOutput() {
    outputEnded = true;
    lock.lock();
    try {
      engine.close();
    } finally {
      lock.unlock();
    }
    sendEnd();
  }

  /** The end of the session, and then that of the connection: without the first it would be cut. */
  private void sendEnd() {
    flush();
    if (!unsent) {
      below.endOutput();
    }
  }

  /** Gives back what this class has, and leaves the connection below open. */
  void release() {
    NativeMemory.free(memory, NATIVE_BYTES);
  }

  @Override
  public void close() {
    release();
    below.close();
  }
}
