package jpcache.cache;

import java.util.BitSet;
import jpcache.media.SegmentList;

/**
 * Which of the cache's segments are in use, and for handing out those that are not.
 *
 * <p>The last free segment is the key log's: data without room for its keys could not be
 * acknowledged, so data never takes it.
 *
 * <p>Any thread; guarded by its own monitor, which is the innermost lock.
 *
 * <p>Kernel counterpart: {@code cache_segment.c: get_cache_segment}, {@code cache.seg_map}.
 */
final class SegmentTable {
  static final int NONE = -1;

  private final SegmentList list;
  private final BitSet used;
  private int usedCount;
  private int cursor;

  SegmentTable(SegmentList list, BitSet used) {
    this.list = list;
    this.used = (BitSet) used.clone();
    usedCount = used.cardinality();
  }

  int count() {
    return list.count();
  }

  synchronized int usedCount() {
    return usedCount;
  }

  long dataOffset(int segment) {
    return list.dataOffset(segment);
  }

  long generation(int segment) {
    return list.generation(segment);
  }

  /** A segment for data, or {@link #NONE} when all but the log's are used. */
  synchronized int takeForData() {
    return usedCount + 1 < count() ? take() : NONE;
  }

  /** A segment for key sets, or {@link #NONE} when all are used. */
  synchronized int takeForLog() {
    return usedCount < count() ? take() : NONE;
  }

  /** Whether the key log can go on in another segment. */
  synchronized boolean hasRoomForLog() {
    return usedCount < count();
  }

  private int take() {
    int segment = used.nextClearBit(cursor);
    if (segment >= count()) {
      segment = used.nextClearBit(0);
    }
    used.set(segment);
    usedCount++;
    cursor = segment + 1;
    return segment;
  }
}
