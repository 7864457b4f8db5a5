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
 * written there before, and left the cache before the look, it has, so its hole is one. A run of
 * subtrees that hold nothing is asked for at once, after the look at the last of them.
 *
 * <p>How long it takes is bounded, whatever the range: it ends early where it would take more.
 */
final class Description {
  /** Subtrees, and extents in them: 256 GiB of a device that is not cached. */
  static final int MOST_LOOKS = 1 << 16;

  /** Asked of the backing device, for a hole and its end. */
  static final int MOST_QUESTIONS = 1 << 14;

  private final ExtentMap map;
  private final ZeroExtents zeros;
  private final BackingDevice backing;
  private final ExtentSink sink;
  private final ExtentList extents = new ExtentList();

  /** What is before has been told, or found. */
  private long at;

  private int looks;
  private int questions;

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

  /** Tells of all of a range, of as much of it as it may, or until the sink has enough. */
  void tell(long offsetBytes, long lengthOfAll) {
    long end = offsetBytes + lengthOfAll;
    at = offsetBytes;
    long seen = offsetBytes;
    while (seen < end && looks < MOST_LOOKS && mayAsk()) {
      long to = Math.min(end, (seen & -SUBTREE_BYTES) + SUBTREE_BYTES);
      tellCached(seen, to);
      seen = to;
    }
    tellUncached(seen);
    flush();
  }

  private boolean mayAsk() {
    return !enough && questions < MOST_QUESTIONS;
  }

  /** Tells of a subtree's part up to the last that it has; the rest belongs to what follows. */
  private void tellCached(long from, long to) {
    looks++;
    Subtree subtree = map.find(from);
    if (subtree == null) {
      return;
    }
    extents.clear();
    int first = Extent.sectorInSubtree(from);
    synchronized (subtree) {
      subtree.overlaps(first, first + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
    }
    looks += extents.size();
    long subtreeStart = from & -SUBTREE_BYTES;
    for (int i = 0; i < extents.size() && !enough; i++) {
      long extent = extents.get(i);
      long start = subtreeStart + Extent.startBytes(extent);
      tellUncached(start);
      if (at < start) {
        return;
      }
      add(
          Extent.lengthBytes(extent),
          ExtentSink.CACHED
              | (Extent.isClean(extent) ? 0 : ExtentSink.DIRTY)
              | (zeros.holds(extent) ? ExtentSink.ZERO : 0));
    }
  }

  /** Tells of what the cache does not hold, up to a place, or as far as the device may be asked. */
  private void tellUncached(long to) {
    while (at < to && mayAsk()) {
      questions++;
      long hole = backing.nextHole(at, to);
      long data = hole < to ? backing.nextData(hole, to) : to;
      add(hole - at, 0);
      add(data - hole, ExtentSink.HOLE | ExtentSink.ZERO);
      if (data == hole && hole < to) { // it has just been written
        add(Math.min(to, (hole & -SUBTREE_BYTES) + SUBTREE_BYTES) - hole, 0);
      }
    }
  }

  private void add(long moreBytes, int itsFlags) {
    if (moreBytes > 0) {
      if (itsFlags != flags) {
        flush();
        flags = itsFlags;
      }
      lengthBytes += moreBytes;
      at += moreBytes;
    }
  }

  private void flush() {
    if (lengthBytes > 0 && !enough) {
      enough = !sink.extent(lengthBytes, flags);
    }
    lengthBytes = 0;
  }
}
