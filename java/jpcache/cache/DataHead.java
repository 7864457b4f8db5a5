package jpcache.cache;

import jpcache.media.Layout;

/**
 * A lane's place for new data: one segment that is filled from its start to its end.
 *
 * <p>Several queues may share a lane; the lock covers the taking of room, not the copy into it.
 * Room comes with a reference to its segment, which passes on to the key that will point there.
 *
 * <p>Kernel counterpart: {@code struct pcache_cache_data_head}, {@code cache_data_alloc}.
 */
final class DataHead {
  /** Room that was taken: some bytes of a segment's data area. */
  static final class Room {
    int segment;
    int offsetBytes;
    int lengthBytes;
  }

  private final SegmentTable segments;
  private int segment = SegmentTable.NONE;
  private int offsetBytes;

  DataHead(SegmentTable segments) {
    this.segments = segments;
  }

  /**
   * Takes all of {@code wantedBytes} at the begin of a segment; what was left of the one before is
   * given up.
   *
   * @return false if no segment is free; the lane then has none either, and one may become free by
   *     that
   */
  synchronized boolean takeAtBegin(int wantedBytes, Room room) {
    if (segment != SegmentTable.NONE && offsetBytes > 0) {
      segments.release(segment);
      segment = SegmentTable.NONE;
    }
    return take(wantedBytes, room);
  }

  /**
   * Takes room for {@code wantedBytes}, or for as many of them as the segment still has.
   *
   * @return false if there is none: the cache is full
   */
  synchronized boolean take(int wantedBytes, Room room) {
    leaveIfFull();
    if (segment == SegmentTable.NONE) {
      segment = segments.takeForData();
      offsetBytes = 0;
      if (segment == SegmentTable.NONE) {
        return false;
      }
    }
    room.segment = segment;
    room.offsetBytes = offsetBytes;
    room.lengthBytes = Math.min(wantedBytes, Layout.SEGMENT_DATA_BYTES - offsetBytes);
    offsetBytes += room.lengthBytes;
    segments.addReference(segment);
    return true;
  }

  /** Gives the segment up if there is no room left in it. */
  synchronized void leaveIfFull() {
    if (segment != SegmentTable.NONE && offsetBytes == Layout.SEGMENT_DATA_BYTES) {
      segments.release(segment);
      segment = SegmentTable.NONE;
    }
  }
}
