package jpcache.cache;

import java.util.List;
import java.util.SplittableRandom;
import jpcache.media.CacheMode;

/**
 * How the cache of a history is made and served.
 *
 * @param sectors of the backing device
 * @param threaded whether the device answers on a thread of its own, in any order
 * @param modes that the history goes through
 * @param mode the first of them
 */
record HistorySetting(
    CacheOptions options,
    boolean dataCrc,
    int gcPercent,
    int sectors,
    boolean threaded,
    List<CacheMode> modes,
    CacheMode mode) {
  private static final List<CacheMode> INDIRECT =
      List.of(CacheMode.WRITE_BACK, CacheMode.WRITE_ONLY);

  /** Half of all histories have direct writes. */
  static HistorySetting random(SplittableRandom random) {
    List<CacheMode> modes = random.nextBoolean() ? INDIRECT : List.of(CacheMode.values());
    return new HistorySetting(
        CacheOptions.defaults()
            .withLanes(oneOf(random, 1, 2, 4, 16, 64))
            .withDurability(random.nextInt(3) == 0 ? Durability.FLUSH : Durability.ACK)
            .withWriteBack(oneOf(random, 0, 100, 5000), oneOf(random, 0, 5, 25, 100))
            .withSequentialBytes(oneOf(random, 0, 64 << 10, 4 << 20))
            .withKeepPercent(oneOf(random, 0, 50, CacheOptions.MAX_KEEP_PERCENT)),
        random.nextBoolean(),
        randomGcPercent(random),
        (random.nextInt(4) == 0 ? 3 << 20 : (8 + random.nextInt(40)) << 20) / SectorModel.SECTOR,
        random.nextBoolean(),
        modes,
        modes.get(random.nextInt(modes.size())));
  }

  static int randomGcPercent(SplittableRandom random) {
    return oneOf(random, 0, 30, 70, 90);
  }

  static int oneOf(SplittableRandom random, int... choices) {
    return choices[random.nextInt(choices.length)];
  }

  /** Whether some writes go to the backing device at once. */
  boolean writesDirectly() {
    return modes.contains(CacheMode.WRITE_THROUGH);
  }
}
