package jpcache.tools;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.backing.BackingDevice;
import jpcache.backing.SyncBacking;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.media.LogReplay;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PoisonedMemoryException;

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
   * Reads bytes of the logical device into native memory. The backing device is asked only for what
   * the cache does not have, so that what it cannot read any more does not matter elsewhere.
   *
   * @param offsetBytes a multiple of a sector, and so is {@code into}'s size
   * @throws jpcache.base.UserException if the backing device fails
   * @throws jpcache.pmem.PoisonedMemoryException if the cache's memory does
   */
  public void read(long offsetBytes, MemorySegment into) {
    long end = offsetBytes + into.byteSize();
    for (long at = offsetBytes; at < end; ) {
      long subtreeStart = at & -ExtentMap.SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + ExtentMap.SUBTREE_BYTES);
      compose(subtreeStart, at, to, into.address() - offsetBytes);
      at = to;
    }
  }

  /** Takes ranges of logical bytes. */
  @FunctionalInterface
  public interface Ranges {
    void range(long from, long to);
  }

  /**
   * Sums the data of each key of which something is to be seen in a range, if the cache keeps
   * checksums, and tells what of it does not fit. Data that cannot be read is not told.
   */
  public void damage(long from, long to, Ranges damaged) {
    if (!media.info().dataCrc()) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      KeyData data = new KeyData(media.view(), media.segments(), arena);
      LogReplay.run(
          media, backing.sizeBytes(), (kset, key) -> damage(kset, key, data, from, to, damaged));
    }
  }

  private void damage(Kset kset, int key, KeyData data, long from, long to, Ranges damaged) {
    long offset = kset.keyOffset(key);
    int length = kset.keyLength(key);
    if (offset >= to || offset + length <= from) {
      return;
    }
    long extent = Extent.ofBytes(offset, length, kset.keySegment(key), kset.keySegmentOffset(key));
    ExtentList seen = new ExtentList();
    map.subtree(offset).overlaps(Extent.start(extent), Extent.end(extent), seen);
    long subtreeStart = offset & -ExtentMap.SUBTREE_BYTES;
    for (int i = 0; i < seen.size(); i++) {
      long part = seen.get(i);
      long start = subtreeStart + Extent.startBytes(part);
      long first = Math.max(from, start);
      long end = Math.min(to, start + Extent.lengthBytes(part));
      // Several parts of one key are summed once: the data remembers.
      if (first < end && Extent.sameData(part, extent) && isDamaged(kset, key, data)) {
        damaged.range(first, end);
      }
    }
  }

  private static boolean isDamaged(Kset kset, int key, KeyData data) {
    try {
      return data.crc(kset, key) != kset.keyDataCrc(key);
    } catch (PoisonedMemoryException e) {
      return false;
    }
  }

  /**
   * Reads a part of a subtree.
   *
   * @param zero the address where logical byte 0 would be
   */
  private void compose(long subtreeStart, long from, long to, long zero) {
    extents.clear();
    Subtree subtree = map.find(from);
    if (subtree != null) {
      int first = Extent.sectorInSubtree(from);
      int end = first + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
      subtree.overlaps(first, end, extents);
    }
    long at = from;
    for (int i = 0; i < extents.size(); i++) {
      long extent = extents.get(i);
      long offset = subtreeStart + Extent.startBytes(extent);
      long length = Extent.lengthBytes(extent);
      readBelow(at, offset, zero);
      long source = media.segments().dataOffset(Extent.segment(extent)) + Extent.placeBytes(extent);
      PmemReads.copy(media.view(), source, zero + offset, length);
      at = offset + length;
    }
    readBelow(at, to, zero);
  }

  private void readBelow(long from, long to, long zero) {
    if (from < to) {
      SyncBacking.read(backing, from, (int) (to - from), zero + from);
    }
  }
}
