package jpcache.cache;

import jpcache.media.Layout;
import org.jspecify.annotations.Nullable;

/**
 * A lane's place for new data: one segment that is filled from its start to its end.
 *
 * <p>Several queues may share a lane; the lock covers the taking of room, not the copy into it.
 * Room comes with a reference to its segment, which passes on to the key that will point there.
 *
 * <p>A lock or a reference is an atomic instruction, and that waits until all has arrived in memory
 * that was copied before: it makes a copy of 4 KiB a fifth longer. So a batch takes room for many
 * pieces at once, an {@link Ahead}, and gives back what it has not used.
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

  /** Room for several pieces of one queue's batch, with a reference for each sector left of it. */
  static final class Ahead {
    private @Nullable DataHead head;
    private int segment;
    private int offsetBytes;
    private int endBytes;
    private int references;

    /** Takes room out of this; false if there is not as much. */
    boolean take(int wantedBytes, Room room) {
      if (endBytes - offsetBytes < wantedBytes) {
        return false;
      }
      room.segment = segment;
      room.offsetBytes = offsetBytes;
      room.lengthBytes = wantedBytes;
      offsetBytes += wantedBytes;
      references--;
      return true;
    }

    /** Gives back what is left of it. */
    void giveBack() {
      if (head != null) {
        head.giveBack(this);
        head = null;
      }
    }
  }

  /** For 32 pieces of 4 KiB, as a client with many requests under way sends them. */
  private static final int AHEAD_BYTES = 128 << 10;

  /** After room was lost because others took some behind it, so many pieces take their own. */
  private static final int PIECES_ALONE = 1024;

  private final SegmentTable segments;
  private int segment = SegmentTable.NONE;
  private int offsetBytes;
  private int piecesAlone;

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
    if (!hasRoom()) {
      return false;
    }
    room.segment = segment;
    room.offsetBytes = offsetBytes;
    room.lengthBytes = Math.min(wantedBytes, Layout.SEGMENT_DATA_BYTES - offsetBytes);
    offsetBytes += room.lengthBytes;
    piecesAlone = Math.max(0, piecesAlone - 1);
    segments.addReference(segment);
    return true;
  }

  /**
   * Takes room for {@code wantedBytes} and more like them, in place of what there was ahead.
   *
   * @return false, with nothing taken, if each should take its own: there is no room, or only a
   *     part of what is wanted, or it is too large for the copy to be short, or others fill the
   *     segment at the same time
   */
  synchronized boolean takeAhead(int wantedBytes, Ahead ahead) {
    if (piecesAlone > 0 || wantedBytes > AHEAD_BYTES / 2 || !hasRoom()) {
      return false;
    }
    int length = Math.min(AHEAD_BYTES, Layout.SEGMENT_DATA_BYTES - offsetBytes);
    if (length < wantedBytes) {
      return false;
    }
    ahead.head = this;
    ahead.segment = segment;
    ahead.offsetBytes = offsetBytes;
    offsetBytes += length;
    ahead.endBytes = offsetBytes;
    ahead.references = length / Layout.SECTOR_BYTES;
    segments.addReferences(segment, ahead.references);
    return true;
  }

  /** Unless others have taken room behind it since, what is left is taken again by the next. */
  private synchronized void giveBack(Ahead ahead) {
    if (segment == ahead.segment && offsetBytes == ahead.endBytes) {
      offsetBytes = ahead.offsetBytes;
    } else if (ahead.offsetBytes < ahead.endBytes) {
      piecesAlone = PIECES_ALONE;
    }
    if (ahead.references > 0) { // else the segment may have gone with the last piece
      segments.release(ahead.segment, ahead.references);
    }
    ahead.offsetBytes = ahead.endBytes;
  }

  private boolean hasRoom() {
    leaveIfFull();
    if (segment == SegmentTable.NONE) {
      segment = segments.takeForData();
      offsetBytes = 0;
    }
    return segment != SegmentTable.NONE;
  }

  /** Gives the segment up if there is no room left in it. */
  synchronized void leaveIfFull() {
    if (segment != SegmentTable.NONE && offsetBytes == Layout.SEGMENT_DATA_BYTES) {
      segments.release(segment);
      segment = SegmentTable.NONE;
    }
  }
}
