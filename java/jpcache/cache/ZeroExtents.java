package jpcache.cache;

import java.util.BitSet;
import jpcache.base.Crc32c;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.Layout;
import jpcache.media.SharedZeros;
import jpcache.pmem.PmemRegion;

/**
 * The shared zeros of a session, to which the keys of zeroed ranges point: 40 bytes of log for up
 * to 4 MiB.
 *
 * <p>There is one such extent, made when it is first needed. What an earlier session left is taken
 * over when the log still has keys into it. In either case the session holds a reference to the
 * segment until it ends, so an extent of a tree that points there never outlives what it points to.
 *
 * <p>No other key's data lies in such an extent, so an extent of a tree that points there came from
 * the key of a zeroed range. But because their places are shared, an extent of a tree does not say
 * which of these keys it came from. So while an extent of data is marked clean with its key, and
 * leaves the tree with it, those of zeros wait until no such key of the subtree is dirty, or none
 * is left in the log; subtrees count. Until then they say no more than the truth: what an evicted
 * key made zero is zero on the backing device, unless something newer lies over it.
 *
 * <p>Any thread. The monitor is taken before those of {@link DataHead} and {@link SegmentTable}.
 */
final class ZeroExtents {
  /** What the key of a zeroed range counts for, where other keys count for their data's room. */
  static final int KEY_COST_BYTES = Layout.SECTOR_BYTES;

  /** Whole pages, so that data behind the zeros is aligned as it would be without them. */
  private static final int ROOM_BYTES = (SharedZeros.SIZE_BYTES + 4095) & -4096;

  private static final int CRC_OF_WHOLE_SUBTREE = Crc32c.ofZeros(ExtentMap.SUBTREE_BYTES);

  private final PmemRegion region;
  private final SegmentTable segments;

  /** Those of earlier sessions; never changes. */
  private final BitSet inherited;

  /** Where new keys point, once there is one. */
  private volatile int current;

  /**
   * Takes over extents of earlier sessions.
   *
   * @param inherited the segments that they are in, each with a reference for this session
   */
  ZeroExtents(PmemRegion region, SegmentTable segments, BitSet inherited) {
    this.region = region;
    this.segments = segments;
    this.inherited = inherited;
    current = inherited.isEmpty() ? SegmentTable.NONE : inherited.nextSetBit(0);
  }

  /**
   * Makes sure that there is an extent.
   *
   * @return false if there is no room for one: the cache is full
   * @throws java.io.UncheckedIOException if it cannot be stored
   */
  boolean prepare(DataHead lane) {
    return current != SegmentTable.NONE || make(lane);
  }

  private synchronized boolean make(DataHead lane) {
    if (current != SegmentTable.NONE) {
      return true;
    }
    DataHead.Room room = new DataHead.Room();
    if (!lane.takeAtBegin(ROOM_BYTES, room)) {
      return false;
    }
    boolean written = false;
    try {
      SharedZeros.write(region, segments.dataOffset(room.segment));
      written = true;
    } finally {
      if (!written) {
        segments.release(room.segment);
      }
    }
    current = room.segment; // and the room's reference is the session's
    return true;
  }

  /** Room for a key of a zeroed range, with a reference. After {@link #prepare}. */
  void take(int lengthBytes, boolean unmap, DataHead.Room room) {
    room.segment = current;
    room.offsetBytes = unmap ? SharedZeros.UNMAPPED_AT : SharedZeros.KEPT_AT;
    room.lengthBytes = lengthBytes;
    segments.addReference(current);
  }

  static int dataCrc(int lengthBytes) {
    return lengthBytes == ExtentMap.SUBTREE_BYTES
        ? CRC_OF_WHOLE_SUBTREE
        : Crc32c.ofZeros(lengthBytes);
  }

  /** Whether a live key is that of a zeroed range, by the place of its data. */
  boolean holds(int segment, int segmentOffsetBytes) {
    return SharedZeros.canBeginAt(segmentOffsetBytes) && isIn(segment);
  }

  /** Whether an extent of a tree came from the key of a zeroed range. */
  boolean holds(long extent) {
    long place = Extent.placeBytes(extent);
    return place >= SharedZeros.UNMAPPED_AT
        && place < SharedZeros.SIZE_BYTES
        && isIn(Extent.segment(extent));
  }

  /** The log has no key any more that makes zeros of a part of a subtree; with its lock held. */
  void remove(Subtree subtree, ExtentList scratch) {
    ExtentList all = all(subtree);
    for (int i = 0; i < all.size(); i++) {
      if (holds(all.get(i))) {
        subtree.remove(all.get(i), scratch);
      }
    }
  }

  /** None of those keys is dirty any more; with the subtree's lock held. */
  void markClean(Subtree subtree) {
    ExtentList all = all(subtree);
    for (int i = 0; i < all.size(); i++) {
      if (holds(all.get(i))) {
        subtree.markClean(all.get(i));
      }
    }
  }

  private static ExtentList all(Subtree subtree) {
    ExtentList all = new ExtentList();
    subtree.overlaps(0, Extent.SUBTREE_SECTORS, all);
    return all;
  }

  private boolean isIn(int segment) {
    return segment == current || inherited.get(segment);
  }

  /** How many segments the session itself refers to, whether the log has keys into them or not. */
  int heldSegments() {
    boolean made = current != SegmentTable.NONE && !inherited.get(current);
    return inherited.cardinality() + (made ? 1 : 0);
  }

  /** How much room for data a live key takes up. */
  int roomBytes(int segment, int segmentOffsetBytes, int lengthBytes) {
    return holds(segment, segmentOffsetBytes) ? KEY_COST_BYTES : lengthBytes;
  }
}
