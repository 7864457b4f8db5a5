package jpcache.cache;

/**
 * Tells reads that are part of a long sequential run, which would wash out of the cache what is
 * worth keeping and gain nothing: nobody reads a stream twice soon, and the backing device is good
 * at them.
 *
 * <p>A few runs side by side are recognised, each by where it should go on. It may go on a little
 * before or behind that place: a client that has many reads under way mixes their order, and what
 * is cached between is not seen here.
 *
 * <p>Used by one thread.
 */
final class SequentialReads {
  private static final int RUNS = 16;

  /** How far from its place a run may go on. */
  private static final long SLACK_BYTES = 1 << 20;

  private final long limitBytes;
  private final long[] next = new long[RUNS];
  private final long[] bytes = new long[RUNS];
  private int oldest;

  /**
   * No runs yet.
   *
   * @param limitBytes what a run brings beyond this need not be cached; 0 if all may
   */
  SequentialReads(long limitBytes) {
    this.limitBytes = limitBytes;
  }

  /** Whether what a read that missed brings should enter the cache. */
  boolean shouldCache(long offsetBytes, int lengthBytes) {
    if (limitBytes == 0) {
      return true;
    }
    long end = offsetBytes + lengthBytes;
    for (int run = 0; run < RUNS; run++) {
      if (bytes[run] > 0 && Math.abs(offsetBytes - next[run]) <= SLACK_BYTES) {
        next[run] = Math.max(next[run], end);
        bytes[run] += lengthBytes;
        return bytes[run] <= limitBytes;
      }
    }
    next[oldest] = end;
    bytes[oldest] = lengthBytes;
    oldest = (oldest + 1) % RUNS;
    return lengthBytes <= limitBytes;
  }
}
