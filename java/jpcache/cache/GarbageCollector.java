package jpcache.cache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.Position;

/**
 * Frees the oldest part of the cache, from key_tail on and never beyond dirty_tail: takes what is
 * left of each key out of its subtree, moves key_tail, and only then drops the keys' references to
 * their segments, which frees those that nothing refers to any more.
 *
 * <p>No reference goes before key_tail is durable, since the last one might go with a writer that
 * leaves the segment at any time. A generation that is durable first makes stale keys of these, and
 * after a power cut older ones before them in the log would stand again.
 *
 * <p>What is read often is copied to the log's end before ({@link HotData}).
 *
 * <p>Extents are taken out at once, so no tree ever holds one whose segment has moved on; the
 * kernel leaves them for whoever meets them.
 *
 * <p>Keys of zeroed ranges share their places, so an older one must not take out what a newer one,
 * which may still be dirty, has put into a tree: see {@link ZeroExtents}, which counts them. The
 * counts go down only after key_tail has moved, because a run that fails before is repeated.
 *
 * <p>Used by the maintenance thread. Locks: one subtree at a time.
 *
 * <p>Kernel counterpart: {@code cache_gc.c: pcache_cache_gc_fn}.
 */
final class GarbageCollector {
  // Between two updates of key_tail: some milliseconds.
  private static final int BATCH_KEYS = 16 << 10;
  private static final long BATCH_BYTES = 32L << 20;

  private final CacheMedia media;
  private final ExtentMap map;
  private final SegmentTable segments;
  private final Tails tails;
  private final ZeroExtents zeros;
  private final long logicalBytes;
  private final HotData hotData;
  private final ExtentList scratch = new ExtentList();

  /** The segments that the batch's keys and ksets refer to, once for each. */
  private int[] referredTo = new int[BATCH_KEYS + Layout.KSET_MAX_KEYS];

  private int references;

  /** For each of the batch's keys of zeroed ranges its subtree. */
  private final List<Subtree> zeroed = new ArrayList<>();

  private long collectedBytes;

  /** From the first extent that leaves its tree until key_tail has durably passed its key. */
  private volatile boolean evicting;

  GarbageCollector(
      CacheMedia media,
      ExtentMap map,
      SegmentTable segments,
      ZeroExtents zeros,
      Tails tails,
      long logicalBytes,
      HotData hotData) {
    this.media = media;
    this.map = map;
    this.segments = segments;
    this.zeros = zeros;
    this.tails = tails;
    this.logicalBytes = logicalBytes;
    this.hotData = hotData;
  }

  /**
   * Whether extents may have left their trees whose keys a power cut would bring back. Asked with a
   * subtree's lock held, it is true if any extent of that has.
   */
  boolean isEvicting() {
    return evicting;
  }

  /**
   * Collects a batch of the oldest key sets.
   *
   * @return false if there is nothing that may go
   */
  boolean run() {
    Position start = tails.keyTail();
    Position end = tails.dirtyTail();
    references = 0;
    zeroed.clear();
    LogReader reader = new LogReader(media, start, logicalBytes);
    int keys = 0;
    evicting = true;
    collectedBytes = 0;
    while (keys < BATCH_KEYS
        && collectedBytes < BATCH_BYTES
        && !reader.head().equals(end)
        && reader.next()) {
      Kset kset = reader.kset();
      if (kset.isLast()) {
        addReference(reader.ksetPosition().cacheSegment());
      }
      for (int key = 0; key < kset.keyCount(); key++) {
        evict(kset, key);
      }
      keys += kset.keyCount();
    }
    if (reader.head().equals(start)) {
      evicting = false;
      return false;
    }
    tails.moveKeyTail(reader.head());
    evicting = false;
    removeZeroKeys();
    for (int i = 0; i < references; i++) {
      segments.release(referredTo[i]);
    }
    return true;
  }

  private void evict(Kset kset, int key) {
    int segment = kset.keySegment(key);
    if (kset.keyIsStale(key, segments.generation(segment))) {
      return; // was stale when the log was replayed: never counted
    }
    long offset = kset.keyOffset(key);
    int place = kset.keySegmentOffset(key);
    boolean shared = zeros.holds(segment, place);
    if (!shared) {
      hotData.keep(kset, key);
    }
    Subtree subtree = map.subtree(offset);
    if (shared) {
      zeroed.add(subtree);
    } else {
      synchronized (subtree) {
        subtree.remove(Extent.ofBytes(offset, kset.keyLength(key), segment, place), scratch);
      }
    }
    collectedBytes += zeros.roomBytes(segment, place, kset.keyLength(key));
    addReference(segment);
  }

  private void removeZeroKeys() {
    for (Subtree subtree : zeroed) {
      synchronized (subtree) {
        if (subtree.removeZeroKey()) {
          zeros.remove(subtree, scratch);
        }
      }
    }
  }

  private void addReference(int segment) {
    if (references == referredTo.length) {
      referredTo = Arrays.copyOf(referredTo, 2 * references);
    }
    referredTo[references++] = segment;
  }
}
