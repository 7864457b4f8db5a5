package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.backing.SimBacking;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.pmem.MemoryRegion;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Problems;

/** What a history leaves on its media, seen by readers that are not the engine. */
final class HistoryMedia {
  private final HistoryWorld world;
  private final MemoryRegion region;
  private final SimBacking backing;
  private final SplittableRandom random;
  private final MemorySegment scratch;

  /**
   * Of a history.
   *
   * @param scratch as large as the backing device
   */
  HistoryMedia(
      HistoryWorld world,
      MemoryRegion region,
      SimBacking backing,
      SplittableRandom random,
      MemorySegment scratch) {
    this.world = world;
    this.region = region;
    this.backing = backing;
    this.random = random;
    this.scratch = scratch;
  }

  /**
   * The media and the backing device hold what they must; the model goes on from there.
   *
   * @param left the engine that has just ended
   * @param lasts see {@link HistoryModel#restart}
   */
  void check(Cache left, boolean orderly, boolean lasts) {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    LogReplay.Summary summary = LogReplay.run(media, backing.sizeBytes(), (kset, key) -> {});
    world.require(summary.dirtyTailOnLog(), "dirty_tail is off the log");
    world.require(summary.staleKeys() == 0, () -> summary.staleKeys() + " stale keys");
    world.require(media.dirtyTail().equals(left.tails().dirtyTail()), "dirty_tail is not durable");
    world.require(media.keyTail().equals(left.tails().keyTail()), "key_tail is not durable");
    if (orderly) {
      world.require(summary.head().equals(left.log().head().position()), "key_head");
      requireNoLeak(left, summary);
    }
    int sectors = (int) (backing.sizeBytes() / SECTOR);
    Survivors.check(world, new LogicalView(media, backing), 0, sectors, scratch, lasts);
    requireSound();
    if (media.keyTail().equals(summary.head())) {
      moveEmptyLog();
    }
  }

  private void requireNoLeak(Cache left, LogReplay.Summary summary) {
    int used = left.segments().usedCount();
    int referred = summary.used().cardinality();
    int held = left.options().lanes() + left.zeros().heldSegments();
    world.require(
        referred <= used && used <= referred + held,
        () -> used + " segments used, " + referred + " referred to: references leak");
  }

  /** The rules of the format, by those who check media for a living. */
  void requireSound() {
    List<String> problems = Problems.of(region.name(), region.view(), backing);
    world.require(problems.isEmpty(), () -> "fsck finds " + problems);
    world.counts().checks++;
  }

  /** So that the log goes on in another segment soon, from any place from which it can. */
  void moveEmptyLog() {
    EmptyLog.moveToTheEnd(region, Layout.KSET_HEADER_BYTES + 8 * random.nextInt(6000 / 8));
  }

  /**
   * Everything has been written back and flushed: the device alone holds what must survive, and,
   * unless it has forgotten something, what clients have just read.
   *
   * @param read what clients have read, all of it
   */
  void checkDeviceAlone(MemorySegment read) {
    int sectors = (int) (backing.sizeBytes() / SECTOR);
    Survivors.checkDeviceAlone(world, backing.durable(), 0, sectors);
    if (!world.model().isInDoubt()) {
      long at =
          MemorySegment.mismatch(backing.durable(), 0, read.byteSize(), read, 0, read.byteSize());
      world.require(at < 0, () -> "sector " + at / SECTOR + " of the device is not as it is read");
    }
  }
}
