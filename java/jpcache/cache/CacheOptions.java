package jpcache.cache;

/**
 * How a cache is run; what the media say of themselves is not here.
 *
 * @param lanes how many segments are filled side by side, 1 or more
 * @param durability when a write is acknowledged
 */
public record CacheOptions(int lanes, Durability durability) {
  /** Lanes beyond this would tie up more segments than they save waiting. */
  public static final int MAX_LANES = 64;

  public CacheOptions {
    if (lanes < 1 || lanes > MAX_LANES) {
      throw new IllegalArgumentException("lanes: " + lanes + ", not 1 to " + MAX_LANES);
    }
  }

  /** A lane for each processor, every acknowledgement durable. */
  public static CacheOptions defaults() {
    return new CacheOptions(
        Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MAX_LANES), Durability.ACK);
  }
}
