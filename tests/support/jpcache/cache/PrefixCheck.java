package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.util.BitSet;
import jpcache.backing.SimBacking;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;

/**
 * The claim that the backing device alone holds a prefix of the log: whenever dirty_tail has moved,
 * what the device would have after a power cut is what the log says up to there, and nothing newer.
 *
 * <p>The log is followed here key by key, without sorting or merging. What a batch that failed has
 * left on the device may be newer than dirty_tail; such sectors are excused until a later batch has
 * written them.
 */
final class PrefixCheck {
  private final PmemRegion region;
  private final SimBacking backing;
  private final String setting;

  /** For each sector the newest write before dirty_tail. */
  private final int[] versions;

  private final BitSet excused;

  PrefixCheck(PmemRegion region, SimBacking backing, int sectors, String setting) {
    this(region, backing, new int[sectors], new BitSet(), setting);
  }

  private PrefixCheck(
      PmemRegion region, SimBacking backing, int[] versions, BitSet excused, String setting) {
    this.region = region;
    this.backing = backing;
    this.versions = versions;
    this.excused = excused;
    this.setting = setting;
  }

  /** What is known so far, to go on from it more than once. */
  PrefixCheck copy() {
    return new PrefixCheck(region, backing, versions.clone(), (BitSet) excused.clone(), setting);
  }

  void batchFailed() {
    excuse(backing.writtenSinceGoodFlush());
  }

  /** A batch that did not come to its end has written these. */
  void excuse(BitSet sectors) {
    excused.or(sectors);
  }

  /** A batch has come to its end, and it was no shorter than any that did not. */
  void noMoreExcuses() {
    excused.clear();
  }

  void dirtyTailMoved(Position from, Position to) {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    LogReader reader = new LogReader(media, from, backing.sizeBytes());
    BitSet written = new BitSet();
    while (!reader.head().equals(to)) {
      require(reader.next(), "the log ends before dirty_tail " + to);
      Kset kset = reader.kset();
      for (int key = 0; key < kset.keyCount(); key++) {
        follow(media, kset, key, written);
      }
    }
    excused.andNot(written);
    written.stream().forEach(this::check);
  }

  private void follow(CacheMedia media, Kset kset, int key, BitSet written) {
    boolean clean = (kset.keyFlags(key) & Layout.KEY_FLAG_CLEAN) != 0;
    long data = media.segments().dataOffset(kset.keySegment(key)) + kset.keySegmentOffset(key);
    int first = (int) (kset.keyOffset(key) / SECTOR);
    for (int i = 0; i < kset.keyLength(key) / SECTOR; i++) {
      int sector = first + i;
      int version = SectorModel.versionOf(region.view(), data + (long) i * SECTOR, sector);
      require(
          version >= 0 || version == SectorModel.ZERO,
          "a key's data is not that of sector " + sector);
      if (clean) {
        require(
            version == versions[sector],
            "clean sector "
                + sector
                + " at "
                + version
                + " where the device has "
                + versions[sector]);
      } else {
        versions[sector] = version;
        written.set(sector);
      }
    }
  }

  void checkAll() {
    check(0, versions.length);
  }

  void check(int firstSector, int sectors) {
    for (int sector = firstSector; sector < firstSector + sectors; sector++) {
      check(sector);
    }
  }

  private void check(int sector) {
    int got = SectorModel.versionOf(backing.durable(), (long) sector * SECTOR, sector);
    if (got == versions[sector] || excused.get(sector)) {
      return;
    }
    require(
        false,
        "sector "
            + sector
            + " of the backing device is at "
            + got
            + ", and at "
            + versions[sector]
            + " where dirty_tail is");
  }

  private void require(boolean holds, String claim) {
    if (!holds) {
      throw new AssertionError(claim + " (" + setting + ")");
    }
  }
}
