package jpcache.cache;

/**
 * How a cache is run; what the media say of themselves is not here.
 *
 * @param lanes how many segments are filled side by side, 1 or more
 * @param durability when a write is acknowledged
 * @param writeBackAgeMs dirty data is written back when it is so old
 * @param dirtyPercent or when there is so much of it, in percent of the cache
 */
public record CacheOptions(int lanes, Durability durability, int writeBackAgeMs, int dirtyPercent) {
  /** Lanes beyond this would tie up more segments than they save waiting. */
  public static final int MAX_LANES = 64;

  public CacheOptions {
    require("lanes", lanes, 1, MAX_LANES);
    require("write-back age", writeBackAgeMs, 0, Integer.MAX_VALUE);
    require("dirty percent", dirtyPercent, 0, 100);
  }

  private static void require(String what, int value, int least, int most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(what + " " + value + ": not " + least + " to " + most);
    }
  }

  /**
   * A lane for each processor, every acknowledgement durable; written back after five seconds, or
   * when a quarter of the cache is dirty.
   */
  public static CacheOptions defaults() {
    int lanes = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MAX_LANES);
    return new CacheOptions(lanes, Durability.ACK, 5_000, 25);
  }

  public CacheOptions withLanes(int count) {
    return new CacheOptions(count, durability, writeBackAgeMs, dirtyPercent);
  }

  public CacheOptions withDurability(Durability chosen) {
    return new CacheOptions(lanes, chosen, writeBackAgeMs, dirtyPercent);
  }

  public CacheOptions withWriteBack(int ageMs, int percent) {
    return new CacheOptions(lanes, durability, ageMs, percent);
  }
}
