package jpcache.tools;

import java.lang.foreign.MemorySegment;
import jpcache.backing.BackingDevice;
import jpcache.backing.SyncBacking;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.LogReplay;
import jpcache.pmem.PmemReads;

/**
 * The logical device as a cache and its backing device make it together, read without the engine
 * and without changing either: the backing device's bytes, with what the log's live keys point to
 * over them.
 *
 * <p>Used by one thread.
 */
public final class LogicalView {
  private final CacheMedia media;
  private final BackingDevice backing;
  private final ExtentMap map;
  private final ExtentList extents = new ExtentList();

  /**
   * Replays the log of a cache over its backing device.
   *
   * @throws jpcache.media.MediaException if the log cannot be believed
   */
  public LogicalView(CacheMedia media, BackingDevice backing) {
    this.media = media;
    this.backing = backing;
    map = new ExtentMap(backing.sizeBytes());
    LogReplay.run(
        media,
        backing.sizeBytes(),
        (kset, key) -> {
          long offset = kset.keyOffset(key);
          map.subtree(offset)
              .insert(
                  Extent.ofBytes(
                      offset,
                      kset.keyLength(key),
                      kset.keySegment(key),
                      kset.keySegmentOffset(key)));
        });
  }

  public long sizeBytes() {
    return backing.sizeBytes();
  }

  /**
   * Reads bytes of the logical device into native memory.
   *
   * @param offsetBytes a multiple of the backing device's block, and so is {@code into}'s size
   * @throws jpcache.base.UserException if the backing device fails
   * @throws jpcache.pmem.PoisonedMemoryException if the cache's memory does
   */
  public void read(long offsetBytes, MemorySegment into) {
    SyncBacking.read(backing, offsetBytes, (int) into.byteSize(), into.address());
    long end = offsetBytes + into.byteSize();
    for (long at = offsetBytes; at < end; ) {
      long subtreeStart = at & -ExtentMap.SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + ExtentMap.SUBTREE_BYTES);
      overlay(subtreeStart, at, to, into, offsetBytes);
      at = to;
    }
  }

  private void overlay(
      long subtreeStart, long from, long to, MemorySegment into, long intoStartsAt) {
    Subtree subtree = map.find(from);
    if (subtree == null) {
      return;
    }
    extents.clear();
    int first = Extent.sectorInSubtree(from);
    int end = first + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
    subtree.overlaps(first, end, extents);
    for (int i = 0; i < extents.size(); i++) {
      long extent = extents.get(i);
      long offset = subtreeStart + Extent.startBytes(extent);
      long source = media.segments().dataOffset(Extent.segment(extent)) + Extent.placeBytes(extent);
      PmemReads.copy(
          media.view(),
          source,
          into.address() + (offset - intoStartsAt),
          Extent.lengthBytes(extent));
    }
  }
}
