package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.base.Completion;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.metrics.Counters;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Gives what is read often another round in the cache: data that has been read since it came to its
 * place is copied to the log's end, as a clean key, when garbage collection comes by.
 *
 * <p>That is the CLOCK algorithm, with the log for its dial: what a scan brings is collected after
 * one round, what is read once a round stays. New places are unmarked, so nothing stays for having
 * been read once.
 *
 * <p>Of what is collected only a share is kept, and nothing while writes wait for room or soon
 * would: garbage collection frees more than it takes, whatever is read.
 *
 * <p>The new keys are in no hurry to be durable: if they are lost, the backing device has the data.
 *
 * <p>Used by the maintenance thread, with no lock held.
 */
final class HotData {
  /** What is decided on at once: large extents are not kept for the sake of one block. */
  private static final int SLICE_SECTORS = 128;

  private static final Completion NOBODY = errno -> {};

  private final Cache cache;
  private final CacheMedia media;
  private final ReadMarks marks;
  private final int keepPercent;
  private final CacheQueue queue;
  private final Counters.Stripe<CacheMetrics.Event> counters;
  private final MemorySegment buffer =
      Arena.ofAuto().allocate((long) SLICE_SECTORS << Extent.SECTOR_SHIFT, 4096);
  private final @Nullable KeyData keyData;
  private final ExtentList parts = new ExtentList();
  private final ExtentList now = new ExtentList();

  /** What was read often may lie together: a sixteenth of the cache may be kept in one go. */
  private final long maxAllowanceBytes;

  /** What may still be kept of what has been collected. */
  private long allowanceBytes;

  HotData(Cache cache, CacheMedia media) {
    this.cache = cache;
    this.media = media;
    marks = cache.readMarks();
    keepPercent = cache.options().keepPercent();
    maxAllowanceBytes =
        keepPercent == 0 ? 0 : (long) cache.segments().count() * Layout.SEGMENT_DATA_BYTES / 16;
    allowanceBytes = maxAllowanceBytes;
    queue = new CacheQueue(cache, 0);
    counters = cache.metrics().open();
    keyData =
        media.info().dataCrc() ? new KeyData(media.view(), media.segments(), Arena.ofAuto()) : null;
  }

  /**
   * A key of data that the backing device has is about to leave the cache: copies what is worth it
   * to the log's end. What is then left of the key's extent in its tree may go.
   */
  void keep(Kset kset, int key) {
    int length = kset.keyLength(key);
    allowanceBytes =
        Math.min(allowanceBytes + (long) length * keepPercent / 100, maxAllowanceBytes);
    long offset = kset.keyOffset(key);
    long extent = Extent.ofBytes(offset, length, kset.keySegment(key), kset.keySegmentOffset(key));
    if (allowanceBytes <= 0 || !marks.isMarked(extent) || cache.roomIsShort()) {
      return;
    }
    Subtree subtree = cache.map().subtree(offset);
    parts.clear();
    synchronized (subtree) {
      subtree.overlaps(Extent.start(extent), Extent.end(extent), parts);
    }
    boolean intact = keyData == null;
    if (keyData != null) {
      keyData.forget();
    }
    for (int i = 0; i < parts.size(); i++) {
      long part = parts.get(i);
      if (Extent.sameData(part, extent) && marks.isMarked(part)) {
        intact = intact || isIntact(kset, key);
        if (intact) {
          keep(subtree, offset & -ExtentMap.SUBTREE_BYTES, part);
        }
      }
    }
  }

  /** What has been damaged must not get a checksum that fits it. */
  private boolean isIntact(Kset kset, int key) {
    try {
      return keyData != null && keyData.crc(kset, key) == kset.keyDataCrc(key);
    } catch (PoisonedMemoryException e) {
      return false;
    }
  }

  private void keep(Subtree subtree, long subtreeStart, long part) {
    for (int at = Extent.start(part); at < Extent.end(part); at += SLICE_SECTORS) {
      long slice = Extent.slice(part, at, Math.min(at + SLICE_SECTORS, Extent.end(part)));
      if (allowanceBytes > 0 && marks.isMarked(slice) && stage(subtreeStart, slice)) {
        insert(subtree, slice);
      }
    }
  }

  private boolean stage(long subtreeStart, long slice) {
    long length = Extent.lengthBytes(slice);
    long place = media.segments().dataOffset(Extent.segment(slice)) + Extent.placeBytes(slice);
    try {
      PmemReads.copy(media.view(), place, buffer, 0, length);
    } catch (PoisonedMemoryException e) {
      return false;
    }
    long offset = subtreeStart + Extent.startBytes(slice);
    if (!queue.stage(offset, (int) length, buffer.address(), false, NOBODY)) {
      return false;
    }
    cache.region().drain();
    return true;
  }

  /** The copy takes the slice's place, unless a write has come meanwhile. */
  private void insert(Subtree subtree, long slice) {
    now.clear();
    synchronized (subtree) {
      subtree.overlaps(Extent.start(slice), Extent.end(slice), now);
      boolean current =
          now.size() == 1
              && Extent.sectors(now.get(0)) == Extent.sectors(slice)
              && Extent.sameData(now.get(0), slice);
      if (!current) {
        queue.abandon();
        return;
      }
      queue.insertClean(subtree);
    }
    allowanceBytes -= Extent.lengthBytes(slice);
    counters.add(CacheMetrics.Event.KEPT_BYTES, Extent.lengthBytes(slice));
  }
}
