package jpcache.media;

import java.util.function.LongConsumer;
import java.util.function.LongSupplier;

/**
 * Tells how far a replay is: after its first second, and then once a second at most.
 *
 * <p>How long the log is nobody knows before its end has been found, so there is no percentage. One
 * thread.
 */
public final class ReplayProgress {
  private static final long INTERVAL_NANOS = 1_000_000_000;

  private final LongSupplier clockNanos;
  private final LongConsumer listener;
  private long toldNanos;

  /**
   * A replay begins now.
   *
   * @param clockNanos as {@link System#nanoTime}
   * @param listener takes the number of keys read so far, on the replay's thread
   */
  public ReplayProgress(LongSupplier clockNanos, LongConsumer listener) {
    this.clockNanos = clockNanos;
    this.listener = listener;
    toldNanos = clockNanos.getAsLong();
  }

  /** So many keys have been read, stale ones included. */
  public void at(long keys) {
    long now = clockNanos.getAsLong();
    if (now - toldNanos >= INTERVAL_NANOS) {
      toldNanos = now;
      listener.accept(keys);
    }
  }
}
