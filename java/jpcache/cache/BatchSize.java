package jpcache.cache;

import java.util.concurrent.TimeUnit;

/**
 * How much of the log one batch of write-back takes.
 *
 * <p>What a batch holds twice is written once, and what adjoins goes in one request; so of random
 * writes to a working set as large as a batch hardly two thirds need to be written at all, in a
 * fraction of the requests. But a batch frees nothing before its end: {@link Admission} keeps as
 * much room in reserve. So it may grow up to a share of the cache, as long as the backing device
 * does it in good time.
 *
 * <p>Used by the maintenance thread.
 */
final class BatchSize {
  /** The least, if there is so much to write back. */
  static final long LEAST_BYTES = 16L << 20;

  /** Before anything is known of the device: most do this in good time. */
  private static final long FIRST_BYTES = 64L << 20;

  private static final long MOST_BYTES = 1L << 30;
  private static final int SHARE_OF_CACHE = 8;
  private static final long GOOD_TIME_NANOS = TimeUnit.SECONDS.toNanos(2);

  private final long mostBytes;
  private long bytes;

  BatchSize(long cacheBytes) {
    mostBytes = mostBytes(cacheBytes);
    bytes = Math.min(FIRST_BYTES, mostBytes);
  }

  /** The most that a batch may take of a cache that can hold so much. */
  static long mostBytes(long cacheBytes) {
    return Math.clamp(cacheBytes / SHARE_OF_CACHE, LEAST_BYTES, MOST_BYTES);
  }

  /** For the next batch. */
  long bytes() {
    return bytes;
  }

  /** A batch has ended; the next may be twice or half as large. */
  void took(long batchBytes, long nanos) {
    if (nanos > GOOD_TIME_NANOS) {
      bytes = Math.max(LEAST_BYTES, Math.min(bytes, batchBytes) / 2);
    } else if (nanos < GOOD_TIME_NANOS / 2 && batchBytes >= bytes) {
      bytes = Math.min(mostBytes, 2 * bytes);
    }
  }
}
