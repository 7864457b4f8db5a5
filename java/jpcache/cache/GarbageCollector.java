package jpcache.cache;

import java.util.BitSet;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.LogReader;
import jpcache.media.Position;

/**
 * Frees the oldest part of the cache, from key_tail on and never beyond dirty_tail: takes what is
 * left of each key out of its subtree, drops the key's reference to its segment, moves key_tail,
 * and then frees the segments that nothing refers to any more.
 *
 * <p>Extents are taken out at once, so no tree ever holds one whose segment has moved on; the
 * kernel leaves them for whoever meets them.
 *
 * <p>Used by the maintenance thread. Locks: one subtree at a time.
 *
 * <p>Kernel counterpart: {@code cache_gc.c: pcache_cache_gc_fn}.
 */
final class GarbageCollector {
  /** Keys between two updates of key_tail. */
  private static final int BATCH_KEYS = 4096;

  private final CacheMedia media;
  private final ExtentMap map;
  private final SegmentTable segments;
  private final Tails tails;
  private final long logicalBytes;
  private final ExtentList scratch = new ExtentList();

  GarbageCollector(
      CacheMedia media, ExtentMap map, SegmentTable segments, Tails tails, long logicalBytes) {
    this.media = media;
    this.map = map;
    this.segments = segments;
    this.tails = tails;
    this.logicalBytes = logicalBytes;
  }

  /**
   * Collects a batch of the oldest key sets.
   *
   * @return false if there is nothing that may go
   */
  boolean run() {
    Position start = tails.keyTail();
    Position end = tails.dirtyTail();
    BitSet unreferenced = new BitSet();
    LogReader reader = new LogReader(media, start, logicalBytes);
    int keys = 0;
    while (keys < BATCH_KEYS && !reader.head().equals(end) && reader.next()) {
      Kset kset = reader.kset();
      if (kset.isLast()) {
        drop(reader.ksetPosition().cacheSegment(), unreferenced);
      }
      for (int key = 0; key < kset.keyCount(); key++) {
        evict(kset, key, unreferenced);
      }
      keys += kset.keyCount();
    }
    if (reader.head().equals(start)) {
      return false;
    }
    tails.moveKeyTail(reader.head());
    unreferenced.stream().forEach(segments::free);
    return true;
  }

  private void evict(Kset kset, int key, BitSet unreferenced) {
    int segment = kset.keySegment(key);
    if (Long.compareUnsigned(kset.keyGeneration(key), segments.generation(segment)) < 0) {
      return; // was stale when the log was replayed: never counted
    }
    long offset = kset.keyOffset(key);
    Subtree subtree = map.subtree(offset);
    synchronized (subtree) {
      subtree.remove(
          Extent.ofBytes(offset, kset.keyLength(key), segment, kset.keySegmentOffset(key)),
          scratch);
    }
    drop(segment, unreferenced);
  }

  private void drop(int segment, BitSet unreferenced) {
    if (segments.dropReference(segment)) {
      unreferenced.set(segment);
    }
  }
}
