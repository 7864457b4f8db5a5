package jpcache.cache;

import jpcache.media.CacheMode;

/**
 * How the cache of a {@link Computer} is made and served.
 *
 * @param segments that it uses of those that it has; few are soon used again
 * @param direct whether writes may go to the backing device at once, in this mode or a later one
 */
record CutSetting(
    CacheOptions options,
    boolean dataCrc,
    int gcPercent,
    int segments,
    CacheMode mode,
    boolean direct) {
  static final CutSetting PLAIN =
      new CutSetting(
          CacheOptions.defaults().withLanes(2).withWriteBack(0, 0),
          false,
          90,
          6,
          CacheMode.WRITE_BACK,
          false);

  CutSetting withDurability(Durability durability) {
    return withOptions(options.withDurability(durability));
  }

  CutSetting withWriteBack(int ageMs, int dirtyPercent) {
    return withOptions(options.withWriteBack(ageMs, dirtyPercent));
  }

  private CutSetting withOptions(CacheOptions chosen) {
    return new CutSetting(chosen, dataCrc, gcPercent, segments, mode, direct);
  }

  CutSetting withDataCrc() {
    return new CutSetting(options, true, gcPercent, segments, mode, direct);
  }

  CutSetting withMode(CacheMode chosen) {
    return new CutSetting(
        options, dataCrc, gcPercent, segments, chosen, direct || isDirect(chosen));
  }

  /** The modes in which writes go to the backing device at once are among those to come. */
  CutSetting withDirectWrites() {
    return new CutSetting(options, dataCrc, gcPercent, segments, mode, true);
  }

  /** At 0 all that has been written back is collected at once. */
  CutSetting withGcPercent(int percent) {
    return new CutSetting(options, dataCrc, percent, segments, mode, direct);
  }

  static boolean isDirect(CacheMode mode) {
    return mode == CacheMode.WRITE_THROUGH || mode == CacheMode.WRITE_AROUND;
  }
}
