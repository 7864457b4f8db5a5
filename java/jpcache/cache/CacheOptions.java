package jpcache.cache;

/**
 * How a cache is run; what the media say of themselves is not here.
 *
 * @param lanes how many segments are filled side by side, 1 or more
 * @param durability when a write is acknowledged
 * @param writeBackAgeMs dirty data is written back when it is so old
 * @param dirtyPercent or when there is so much of it, in percent of the cache
 * @param sequentialBytes what a run of sequential reads brings beyond this is not cached; 0 if all
 *     of it may be
 * @param keepPercent at most so much of what is collected is kept if it has been read since it came
 */
public record CacheOptions(
    int lanes,
    Durability durability,
    int writeBackAgeMs,
    int dirtyPercent,
    long sequentialBytes,
    int keepPercent) {
  /** When dirty data is written back unless somebody chooses otherwise. */
  public static final int DEFAULT_DIRTY_AGE_SECONDS = 30;

  /** Or when there is so much of it. */
  public static final int DEFAULT_DIRTY_PERCENT = 50;

  /** Lanes beyond this would tie up more segments than they save waiting. */
  public static final int MAX_LANES = 64;

  /** With more, collecting would hardly get on. */
  public static final int MAX_KEEP_PERCENT = 80;

  public CacheOptions {
    require("lanes", lanes, 1, MAX_LANES);
    require("write-back age", writeBackAgeMs, 0, Integer.MAX_VALUE);
    require("dirty percent", dirtyPercent, 0, 100);
    require("sequential bytes", sequentialBytes, 0, Long.MAX_VALUE);
    require("keep percent", keepPercent, 0, MAX_KEEP_PERCENT);
  }

  private static void require(String what, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(what + " " + value + ": not " + least + " to " + most);
    }
  }

  /**
   * A lane for each processor, every acknowledgement durable; written back after half a minute, or
   * when half of the cache is dirty; not filled by streams of more than 4 MiB; half of what is
   * collected may stay.
   */
  public static CacheOptions defaults() {
    int lanes = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MAX_LANES);
    return new CacheOptions(
        lanes,
        Durability.ACK,
        1000 * DEFAULT_DIRTY_AGE_SECONDS,
        DEFAULT_DIRTY_PERCENT,
        4 << 20,
        50);
  }

  public CacheOptions withLanes(int count) {
    return new CacheOptions(
        count, durability, writeBackAgeMs, dirtyPercent, sequentialBytes, keepPercent);
  }

  public CacheOptions withDurability(Durability chosen) {
    return new CacheOptions(
        lanes, chosen, writeBackAgeMs, dirtyPercent, sequentialBytes, keepPercent);
  }

  public CacheOptions withWriteBack(int ageMs, int percent) {
    return new CacheOptions(lanes, durability, ageMs, percent, sequentialBytes, keepPercent);
  }

  public CacheOptions withSequentialBytes(long bytes) {
    return new CacheOptions(lanes, durability, writeBackAgeMs, dirtyPercent, bytes, keepPercent);
  }

  public CacheOptions withKeepPercent(int percent) {
    return new CacheOptions(
        lanes, durability, writeBackAgeMs, dirtyPercent, sequentialBytes, percent);
  }
}
