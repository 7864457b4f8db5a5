package jpcache.nbd;

/**
 * Decides whether a connection's thread polls its socket for a moment before it sleeps.
 *
 * <p>A request that arrives while the thread polls saves a wake-up, which at queue depth 1 is most
 * of its time. One that does not has cost the polling for nothing; so after polls that found
 * nothing, more and more sleeps pass without one. Used by the connection's thread alone.
 */
final class BusyPolling {
  private static final int MOST_SKIPPED = 64;

  private final long pollNanos;
  private int toSkip;
  private int penalty;

  BusyPolling(int pollMicros) {
    pollNanos = pollMicros * 1000L;
  }

  /** How long to poll now, in nanoseconds; 0: not at all. */
  long nanos(boolean coresToSpare) {
    if (pollNanos == 0 || !coresToSpare) {
      return 0;
    }
    if (toSkip > 0) {
      toSkip--;
      return 0;
    }
    return pollNanos;
  }

  /** A poll found something. */
  void found() {
    penalty = 0;
  }

  /** A poll found nothing. */
  void foundNothing() {
    penalty = Math.min(MOST_SKIPPED, penalty * 2 + 1);
    toSkip = penalty;
  }
}
