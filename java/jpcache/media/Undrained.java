package jpcache.media;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;

/**
 * Makes durable what a process has stored that was killed before it could drain.
 *
 * <p>Such stores are seen by whoever opens the cache next, but they may be in the processors'
 * caches only, and nobody has asked for them to be written out. Whoever goes on from there would
 * build on sand: a power cut may take back the newest kset, and with it all ksets behind it, or a
 * generation that newer keys name. So what a replay has relied on, and what may be the last store
 * of a process, is stored once more in its place, and drained. The same bytes in the same place: a
 * power cut meanwhile changes nothing.
 *
 * <p>That is all metadata, for each slot has one last store, and of the log the newest kset: ksets
 * are written one at a time, each drained before the next. Data is drained before a kset names it.
 */
public final class Undrained {
  private Undrained() {}

  /**
   * Makes durable what an opened cache has been found to hold.
   *
   * @param log what its replay has told
   */
  public static void drain(PmemRegion region, CacheMedia media, LogReplay.Summary log) {
    drain(region, media, log.newest(), log.head());
  }

  /**
   * The same, for whoever has walked the log by other means.
   *
   * @param newest where the newest kset begins; the head if there is none
   * @param head where the log ends
   */
  public static void drain(PmemRegion region, CacheMedia media, Position newest, Position head) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(Layout.SEGMENTS_OFFSET);
      long metadataBytes = Layout.SEGMENTS_OFFSET - Layout.SUPERBLOCK_OFFSET;
      storeAgain(region, Layout.SUPERBLOCK_OFFSET, metadataBytes, buffer);
      SegmentList segments = media.segments();
      for (int segment = 0; segment < segments.count(); segment++) {
        long at = Layout.segmentOffset(segments.deviceSegment(segment)) + Layout.SEGMENT_CONTROL_AT;
        storeAgain(region, at, 2 * Layout.GENERATION_BYTES, buffer);
      }
      int bytes =
          head.cacheSegment() == newest.cacheSegment()
              ? head.offsetBytes() - newest.offsetBytes()
              : Layout.KSET_HEADER_BYTES; // a last one
      long at = segments.dataOffset(newest.cacheSegment()) + newest.offsetBytes();
      storeAgain(region, at, bytes, buffer);
      region.drain();
    }
  }

  private static void storeAgain(PmemRegion region, long at, long bytes, MemorySegment buffer) {
    PmemReads.copy(region.view(), at, buffer, 0, bytes);
    region.copy(at, buffer.address(), bytes);
  }
}
