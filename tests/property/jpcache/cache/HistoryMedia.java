package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import jpcache.backing.SimBacking;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import jpcache.tools.LogicalView;

/** What a history leaves on its media, seen by a reader that is not the engine. */
final class HistoryMedia {
  private final ModeHistory history;
  private final MemoryRegion region;
  private final SimBacking backing;
  private final SplittableRandom random;
  private final int sectors;
  private final MemorySegment scratch;

  HistoryMedia(
      ModeHistory history,
      MemoryRegion region,
      SimBacking backing,
      SplittableRandom random,
      int sectors) {
    this.history = history;
    this.region = region;
    this.backing = backing;
    this.random = random;
    this.sectors = sectors;
    scratch = history.allocate((long) sectors * SECTOR);
  }

  /** Memory for a device's worth of bytes. */
  MemorySegment scratch() {
    return scratch;
  }

  /** The media and the backing device hold what they must; the model goes on from there. */
  void check(Cache left, boolean orderly, boolean powerCut) {
    if (powerCut) {
      history.model().powerCut();
    } else if (left.directWrites().flushes().failures() > 0) {
      history.model().doubt(); // the next process cannot know
    }
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    LogReplay.Summary summary = LogReplay.run(media, backing.sizeBytes(), (kset, key) -> {});
    history.require(summary.dirtyTailOnLog(), "dirty_tail is off the log");
    history.require(summary.staleKeys() == 0, () -> summary.staleKeys() + " stale keys");
    history.require(
        media.dirtyTail().equals(left.tails().dirtyTail()), "dirty_tail is not durable");
    history.require(media.keyTail().equals(left.tails().keyTail()), "key_tail is not durable");
    if (orderly) {
      history.require(summary.head().equals(left.log().head().position()), "key_head");
      int used = left.segments().usedCount();
      int referred = summary.used().cardinality();
      history.require(
          referred <= used && used <= referred + left.options().lanes(),
          () -> used + " segments used, " + referred + " referred to: references leak");
    }
    new LogicalView(media, backing).read(0, scratch);
    for (int s = 0; s < sectors; s++) {
      int sector = s;
      int got = SectorModel.versionOf(scratch, (long) s * SECTOR, s);
      history.require(
          history.model().survived(s, got),
          () ->
              "after "
                  + (orderly ? "a stop" : "a kill")
                  + " sector "
                  + sector
                  + " is at "
                  + got
                  + ", "
                  + history.model().describe(sector)
                  + "; "
                  + SectorModel.describe(scratch, (long) sector * SECTOR));
      history.model().restart(s, got, powerCut);
    }
    if (media.keyTail().equals(summary.head())) {
      moveEmptyLogToTheEndOfItsSegment();
    }
  }

  /**
   * Segments are large and the log is small: without this, few histories would see it go on in
   * another segment, and none at every place from which it can.
   */
  void moveEmptyLogToTheEndOfItsSegment() {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    Position at = media.keyTail();
    int left = Layout.KSET_HEADER_BYTES + 8 * random.nextInt(6000 / 8);
    int offset = Layout.SEGMENT_DATA_BYTES - left;
    if (offset <= at.offsetBytes()) {
      return;
    }
    MemorySegment zeros = history.allocate(left);
    long place = media.segments().dataOffset(at.cacheSegment()) + offset;
    region.persist(place, zeros.address(), left);
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    metadata.keyTail(new Position(at.cacheSegment(), offset));
    metadata.dirtyTail(new Position(at.cacheSegment(), offset));
  }

  /**
   * Everything has been written back and flushed: the device alone holds what must survive, and,
   * unless it has forgotten something, what clients have just read.
   *
   * @param read what clients have read, all of it
   */
  void checkDeviceAlone(MemorySegment read) {
    boolean forgotten = history.model().isInDoubt();
    for (int s = 0; s < sectors; s++) {
      int sector = s;
      int alone = SectorModel.versionOf(backing.durable(), (long) s * SECTOR, s);
      int seen = SectorModel.versionOf(read, (long) s * SECTOR, s);
      history.require(
          history.model().survived(s, alone) && (forgotten || alone == seen),
          () ->
              "sector "
                  + sector
                  + " of the device is at "
                  + alone
                  + ", read as "
                  + seen
                  + ", "
                  + history.model().describe(sector));
    }
  }
}
