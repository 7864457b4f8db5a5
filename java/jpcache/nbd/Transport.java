package jpcache.nbd;

import java.util.function.BooleanSupplier;
import jpcache.base.Errno;

/**
 * The bytes of one connection, in and out: a plain {@link ClientSocket}, or something that encrypts
 * over one.
 *
 * <p>Nothing here waits except {@link #await}. The connection's thread alone receives and waits;
 * one thread at a time sends, which may be another one (it holds the {@link ReplyQueue}'s lock), at
 * the same time as the connection's thread receives.
 *
 * <p>What a transport was given to send counts as sent. If it has to hold some of it back itself,
 * {@link #hasUnsent} says so until another {@link #send}, if only of nothing, has brought it out.
 */
interface Transport extends AutoCloseable {
  /** Beside poll's own bits: somebody raised the wakeup. */
  int WOKEN = 1 << 16;

  /** Wakes the thread that waits in {@link #await}. The same through the connection's life. */
  Wakeup wakeup();

  /** What has arrived, at least one byte; 0 at the end; {@code -EAGAIN} if nothing has. */
  long receive(long address, int bytes);

  /**
   * Sends the parts of a struct msghdr as far as they are taken, after what is held back.
   *
   * @return how many bytes of the parts were taken; {@code -EAGAIN} if none were, because the peer
   *     does not read; another {@code -errno} if it never will
   */
  long send(long message);

  /** Whether {@link #send} may be given memory that can fail: it says {@code -EFAULT} then. */
  boolean sendsMemoryThatMayFail();

  /** Who is at the other end, for the log. */
  String peer();

  /** Whether some of what was given to {@link #send} has not gone out. */
  boolean hasUnsent();

  /**
   * Sleeps until {@link #receive} has something (POLLIN) or {@link #send} may take something
   * (POLLOUT), or the connection is broken, or the wakeup is raised, or {@code timeoutMs} have
   * passed (-1: for ever).
   *
   * @param events POLLIN, POLLOUT or both
   * @return the ready events as of poll(2), and {@link #WOKEN}; 0 if neither
   */
  int await(int events, int timeoutMs);

  /**
   * No more is sent: the client sees the end after what it was sent. Never waits. What is received
   * from now on may be thrown away.
   */
  void endOutput();

  @Override
  void close();

  /**
   * Sends bytes whole, waiting where need be: for negotiation, where there is nothing else to do.
   *
   * @param stopping ends the wait for the client, too
   * @return false if the client is gone or did not take them until {@code deadlineNanos}
   */
  default boolean sendAll(byte[] bytes, long deadlineNanos, BooleanSupplier stopping) {
    if (bytes.length == 0 && !hasUnsent()) {
      return true;
    }
    final int dataOffset = 128;
    long message = NativeMemory.allocate(dataOffset + bytes.length);
    try {
      long part = message + Sockets.MESSAGE_BYTES;
      NativeMemory.copy(bytes, 0, message + dataOffset, bytes.length);
      NativeMemory.hostLong(message + Sockets.MESSAGE_PARTS, part);
      int sent = 0;
      while (true) {
        NativeMemory.hostLong(part, message + dataOffset + sent);
        NativeMemory.hostLong(part + 8, bytes.length - sent);
        NativeMemory.hostLong(message + Sockets.MESSAGE_PART_COUNT, sent < bytes.length ? 1 : 0);
        long n = send(message);
        if (n > 0) {
          sent += (int) n;
        } else if (n < 0 && n != -Errno.EAGAIN) {
          return false;
        }
        if (sent == bytes.length && !hasUnsent()) {
          return true;
        }
        int leftMs = millisUntil(deadlineNanos);
        if (leftMs <= 0 || stopping.getAsBoolean()) {
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
}
