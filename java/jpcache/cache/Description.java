package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import jpcache.backing.BackingDevice;
import jpcache.block.ExtentSink;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;

/**
 * Tells a sink what a range of the device consists of; neighbours of one kind as one extent.
 *
 * <p>For one range and one thread. A subtree at a time is looked at, with its lock, and told of
 * without. Of what the cache does not hold the backing device is asked, afterwards: what was
 * written there before, and left the cache before the look, it has, so its hole is one.
 */
final class Description {
  private final ExtentMap map;
  private final ZeroExtents zeros;
  private final BackingDevice backing;
  private final ExtentSink sink;
  private final ExtentList extents = new ExtentList();

  // What has been found and not told, since more of the kind may follow.
  private long lengthBytes;
  private int flags;
  private boolean enough;

  Description(ExtentMap map, ZeroExtents zeros, BackingDevice backing, ExtentSink sink) {
    this.map = map;
    this.zeros = zeros;
    this.backing = backing;
    this.sink = sink;
  }

  /** Tells of all of a range, or until the sink has enough. */
  void tell(long offsetBytes, long lengthOfAll) {
    long end = offsetBytes + lengthOfAll;
    for (long at = offsetBytes; at < end && !enough; ) {
      long to = Math.min(end, (at & -SUBTREE_BYTES) + SUBTREE_BYTES);
      tellPart(at, to);
      at = to;
    }
    flush();
  }

  private void tellPart(long from, long to) {
    extents.clear();
    Subtree subtree = map.find(from);
    if (subtree != null) {
      int start = Extent.sectorInSubtree(from);
      synchronized (subtree) {
        subtree.overlaps(start, start + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
      }
    }
    long subtreeStart = from & -SUBTREE_BYTES;
    long at = from;
    for (int i = 0; i < extents.size() && !enough; i++) {
      long extent = extents.get(i);
      long start = subtreeStart + Extent.startBytes(extent);
      tellUncached(at, start);
      add(
          Extent.lengthBytes(extent),
          ExtentSink.CACHED
              | (Extent.isClean(extent) ? 0 : ExtentSink.DIRTY)
              | (zeros.holds(extent) ? ExtentSink.ZERO : 0));
      at = start + Extent.lengthBytes(extent);
    }
    tellUncached(at, to);
  }

  private void tellUncached(long from, long to) {
    long at = from;
    while (at < to && !enough) {
      long hole = backing.nextHole(at, to);
      long data = hole < to ? backing.nextData(hole, to) : to;
      add(hole - at, 0);
      add(data - hole, ExtentSink.HOLE | ExtentSink.ZERO);
      if (data == hole && hole < to) { // it has just been written
        add(to - hole, 0);
        return;
      }
      at = data;
    }
  }

  private void add(long moreBytes, int itsFlags) {
    if (moreBytes > 0) {
      if (itsFlags != flags) {
        flush();
        flags = itsFlags;
      }
      lengthBytes += moreBytes;
    }
  }

  private void flush() {
    if (lengthBytes > 0 && !enough) {
      enough = !sink.extent(lengthBytes, flags);
    }
    lengthBytes = 0;
  }
}
