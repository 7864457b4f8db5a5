package jpcache.tools.fsck;

import static jpcache.media.Layout.SECTOR_BYTES;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.Consumer;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.SharedZeros;
import jpcache.pmem.PmemReads;

/**
 * Finds live keys whose data overlaps that of others: one of the two has been overwritten.
 *
 * <p>Two keys may share data if both say the same of it (the same logical bytes are there), and any
 * number may share zeros: that is how zeroed ranges are kept. Theirs are left out, for all of them
 * may point into one segment: {@link SharedZeros} has looked whether there are zeros, and nothing
 * that overlaps those is wrong.
 *
 * <p>The keys of a segment are sorted by the places of their data, and each is held against the one
 * before it that reaches furthest. Segments are taken in groups of at most {@value #GROUP_KEYS}
 * keys, for each of which the log is walked once. No writer makes that many for one segment, which
 * has 32,744 sectors; where there are, the first are looked at.
 */
final class DataOverlaps {
  static final int GROUP_KEYS = 1 << 20;

  private static final int PLACE_SHIFT = 32;
  private static final long INDEX_MASK = (1L << PLACE_SHIFT) - 1;

  private final CacheMedia media;
  private final SharedZeros zeros;
  private final int groupKeys;

  /** Those that are not of zeroed ranges; of too many it is one more than a group has. */
  private final int[] keysPerSegment;

  // The keys of a group, numbered as they come.
  private int size;
  private long[] logical = new long[0];
  private long[] atBytes = new long[0];
  private int[] sectors = new int[0];

  /** Place and number of each key, packed for sorting; a segment's begin at {@link #starts}. */
  private long[] order = new long[0];

  private int[] starts = new int[0];

  /** What was last seen to be zero, in sectors of the segment that is being looked at. */
  private int zeroFrom;

  private int zeroTo;

  DataOverlaps(CacheMedia media) {
    this(media, GROUP_KEYS);
  }

  /** With groups of another size. */
  DataOverlaps(CacheMedia media, int groupKeys) {
    this.media = media;
    this.groupKeys = groupKeys;
    zeros = new SharedZeros(media.view(), media.segments());
    keysPerSegment = new int[media.segments().count()];
  }

  /** Counts a live key, before {@link #run}. */
  void count(Kset kset, int key) {
    int segment = kset.keySegment(key);
    if (keysPerSegment[segment] <= groupKeys && !isOfZeros(kset, key)) {
      keysPerSegment[segment]++;
    }
  }

  private boolean isOfZeros(Kset kset, int key) {
    return zeros.holds(kset.keySegment(key), kset.keySegmentOffset(key));
  }

  void run(Consumer<Finding> findings) {
    for (int from = 0; from < keysPerSegment.length; ) {
      int keys = keysIn(from);
      int to = from + 1;
      while (to < keysPerSegment.length && keys + keysIn(to) <= groupKeys) {
        keys += keysIn(to++);
      }
      if (keys > 1) {
        group(from, to, keys, findings);
      }
      from = to;
    }
  }

  /** How many keys of a segment are looked at. */
  private int keysIn(int segment) {
    return Math.min(keysPerSegment[segment], groupKeys);
  }

  private void group(int from, int to, int keys, Consumer<Finding> findings) {
    if (logical.length < keys) {
      logical = new long[keys];
      atBytes = new long[keys];
      sectors = new int[keys];
      order = new long[keys];
    }
    starts = new int[to - from + 1];
    for (int segment = from; segment < to; segment++) {
      starts[segment - from + 1] = starts[segment - from] + keysIn(segment);
    }
    int[] next = starts.clone();
    size = 0;
    LogWalk.run(
        media,
        (kset, key, at, live, dirty) -> {
          int segment = kset.keySegment(key);
          if (live
              && segment >= from
              && segment < to
              && next[segment - from] < starts[segment - from + 1]
              && !isOfZeros(kset, key)) {
            take(next[segment - from]++, kset, key, at);
          }
        });
    for (int segment = from; segment < to; segment++) {
      if (keysPerSegment[segment] > groupKeys) {
        findings.accept(tooMany(segment));
      }
      sweep(segment, starts[segment - from], starts[segment - from + 1], findings);
    }
  }

  private void take(int slot, Kset kset, int key, long at) {
    logical[size] = kset.keyOffset(key) / SECTOR_BYTES;
    sectors[size] = kset.keyLength(key) / SECTOR_BYTES;
    atBytes[size] = at;
    order[slot] = (long) (kset.keySegmentOffset(key) / SECTOR_BYTES) << PLACE_SHIFT | size;
    size++;
  }

  private void sweep(int segment, int from, int to, Consumer<Finding> findings) {
    zeroFrom = 0;
    zeroTo = 0;
    Arrays.sort(order, from, to);
    for (int i = from + 1, furthest = from; i < to; i++) {
      int end = Math.min(end(i), end(furthest));
      if (place(i) < end
          && logical[index(i)] - place(i) != logical[index(furthest)] - place(furthest)
          && !allZero(segment, place(i), end)) {
        findings.accept(overlap(segment, i, furthest));
      }
      if (end(i) > end(furthest)) {
        furthest = i;
      }
    }
  }

  private int place(int i) {
    return (int) (order[i] >>> PLACE_SHIFT);
  }

  private int index(int i) {
    return (int) (order[i] & INDEX_MASK);
  }

  private int end(int i) {
    return place(i) + sectors[index(i)];
  }

  private Finding tooMany(int segment) {
    return Finding.problem(
        "key.cache_seg_id",
        media.segments().dataOffset(segment),
        Integer.toString(segment),
        "more than "
            + groupKeys
            + " keys have their data in that segment, which no writer makes; overlaps of those behind"
            + " them are not looked for");
  }

  private Finding overlap(int segment, int i, int other) {
    return Finding.problem(
        "key.cache_seg_off",
        atBytes[index(i)],
        segment + ":" + place(i) * SECTOR_BYTES,
        "the data overlaps that of the key at byte " + atBytes[index(other)]);
  }

  /** Millions of keys may share one range of zeros, which is looked at once. */
  private boolean allZero(int segment, int from, int to) {
    if (from >= zeroFrom && to <= zeroTo) {
      return true;
    }
    long offset = media.segments().dataOffset(segment) + (long) from * SECTOR_BYTES;
    long length = (long) (to - from) * SECTOR_BYTES;
    assert length <= Layout.SUBTREE_BYTES;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(length);
      PmemReads.copy(media.view(), offset, bytes, 0, length);
      if (bytes.mismatch(arena.allocate(length)) >= 0) {
        return false;
      }
    }
    zeroFrom = from;
    zeroTo = to;
    return true;
  }
}
