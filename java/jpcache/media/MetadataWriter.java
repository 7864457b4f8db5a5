package jpcache.media;

import java.lang.foreign.Arena;
import jpcache.base.Crc32c;
import jpcache.pmem.PmemRegion;

/**
 * Updates the metadata of an existing cache: the tails, generations and cache info. The engine,
 * repair and rescue all write through this class.
 *
 * <p>Every method writes the next version over the replica that is not current, and is durable when
 * it returns; a power cut before that leaves the version before it. That orders a call only after
 * what the <em>same thread</em> has drained: who moves a tail past data, or past a backing flush,
 * has waited for those first.
 *
 * <p>Several threads may use one writer, but not for the same slot at once: key_tail, dirty_tail,
 * cache info and each segment's generation are a slot each, and the callers of one exclude each
 * other.
 *
 * <p>Kernel counterpart: {@code cache_encode_key_tail}, {@code cache_encode_dirty_tail}, {@code
 * cache_seg_gen_increase}, {@code cache_info_write}.
 */
public final class MetadataWriter {
  private final PmemRegion region;
  private final SegmentList segments;

  /**
   * A writer for the cache on a region.
   *
   * @param segments where its cache segments are
   */
  public MetadataWriter(PmemRegion region, SegmentList segments) {
    this.region = region;
    this.segments = segments;
  }

  /** From now on the log begins here; ksets before this place are forgotten. */
  public void keyTail(Position position) {
    requireInside(position);
    position.writeAsKeyTail(region, new Crc32c());
  }

  /** What the log held before this place is on the backing device. */
  public void dirtyTail(Position position) {
    requireInside(position);
    position.writeAsDirtyTail(region, new Crc32c());
  }

  /** From now on keys into this segment with a lower generation, unsigned, are stale. */
  public void generation(int cacheSegment, long generation) {
    SegmentList.writeGeneration(
        region, segments.deviceSegment(cacheSegment), generation, new Crc32c());
  }

  /** Settings that have changed. */
  public void cacheInfo(CacheInfo info) {
    info.write(region, new Crc32c());
  }

  /** The version that is in force once more, over a replica that is torn. */
  public void rewrite(ReplicatedSlot slot) {
    slot.rewrite(region, new Crc32c());
  }

  /** From now on the log ends here: whatever stands at this place is no kset any more. */
  public void endLog(Position head) {
    requireInside(head);
    int room = Layout.SEGMENT_DATA_BYTES - head.offsetBytes();
    try (Arena arena = Arena.ofConfined()) {
      long length = Math.min(Layout.KSET_HEADER_BYTES, room);
      region.persist(
          segments.dataOffset(head.cacheSegment()) + head.offsetBytes(),
          arena.allocate(length).address(),
          length);
    }
  }

  /** A tail that no reader would believe is a bug of the caller's, and the end of the cache. */
  private void requireInside(Position position) {
    if (position.cacheSegment() < 0
        || position.cacheSegment() >= segments.count()
        || position.offsetBytes() < 0
        || position.offsetBytes() >= Layout.SEGMENT_DATA_BYTES) {
      throw new IllegalArgumentException("no place in the cache's log: " + position);
    }
  }
}
