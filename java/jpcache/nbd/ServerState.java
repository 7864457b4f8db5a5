package jpcache.nbd;

import java.util.concurrent.atomic.AtomicInteger;

/** What a server's connections share. */
final class ServerState {
  private static final int CORES = Runtime.getRuntime().availableProcessors();

  private final Exports exports;
  private final NbdServerOptions options;
  private final NbdMetrics metrics = new NbdMetrics();
  private final AtomicInteger busy = new AtomicInteger();
  private volatile long stopNanos;
  private volatile boolean stopping;

  ServerState(Exports exports, NbdServerOptions options) {
    this.exports = exports;
    this.options = options;
  }

  Exports exports() {
    return exports;
  }

  NbdServerOptions options() {
    return options;
  }

  NbdMetrics metrics() {
    return metrics;
  }

  /** From now on {@link #stopping}. */
  void stop() {
    stopNanos = System.nanoTime();
    stopping = true;
  }

  boolean stopping() {
    return stopping;
  }

  /** Whether the stop began longer ago than this. */
  boolean stoppingLongerThan(long millis) {
    return stopping && System.nanoTime() - stopNanos > millis * 1_000_000;
  }

  /** A connection's thread begins (1) or ceases (-1) to do something other than sleep. */
  void countBusy(int change) {
    busy.addAndGet(change);
  }

  /** Whether each busy connection can have a core: polling takes nothing from others then. */
  boolean coresToSpare() {
    return busy.get() <= CORES;
  }
}
