package jpcache.extent;

import java.util.Arrays;

/**
 * The extents of 4 MiB of the logical device: ordered, disjoint, of any length.
 *
 * <p>They are kept in leaves: sorted arrays of packed longs of at most {@value #LEAF_MAX}. A
 * subtree begins as one small leaf and costs 8 to 16 bytes an extent; a full leaf is cut in two. No
 * leaf is empty unless it is the only one, and all extents of a leaf lie before those of the next,
 * so the place of a sector is found by a binary search over the leaves' first extents and one
 * inside a leaf. A tree of objects, as the kernel has, costs three times the copy of 4 KiB here
 * (docs/performance.md).
 *
 * <p>Not thread-safe: whoever uses a subtree holds its monitor.
 *
 * <p>Kernel counterpart: {@code struct pcache_cache_subtree}, {@code cache_key.c:
 * cache_key_insert}.
 */
public final class Subtree {
  static final int LEAF_MAX = 128;

  private static final int LEAF_MIN_CAPACITY = 4;

  /** An insertion adds this many extents at the most: one that lies inside another splits it. */
  private static final int MAX_GROWTH = 2;

  private static final long NONE = -1;
  private static final long[] EMPTY = {};

  private long[][] leaves = {new long[LEAF_MIN_CAPACITY]};
  private int[] counts = {0};

  /** Where the first extent of each leaf begins: the search for a leaf touches no leaf. */
  private int[] starts = {0};

  private int leafCount = 1;
  private final long[] replacement = new long[1 + MAX_GROWTH];
  private int zeroKeys;

  /** The log has a key more that makes zeros of a part of this subtree. */
  public void addZeroKey() {
    zeroKeys++;
  }

  /** The log has such a key less; returns whether it was the last. */
  public boolean removeZeroKey() {
    return --zeroKeys == 0;
  }

  /** How many extents there are. */
  public int size() {
    int size = 0;
    for (int leaf = 0; leaf < leafCount; leaf++) {
      size += counts[leaf];
    }
    return size;
  }

  /**
   * Puts an extent in, over whatever it overlaps: what it covers goes, what it covers in part is
   * cut, what it lies inside of is split.
   *
   * <pre>
   *   old ends before new begins    untouched
   *   old begins after new ends     untouched
   *   new covers old's head         old keeps its back
   *   new covers all of old         old goes
   *   new lies inside old           old keeps its front and its back
   *   new covers old's tail         old keeps its front
   * </pre>
   */
  public void insert(long extent) {
    splice(Extent.start(extent), Extent.end(extent), extent);
  }

  /**
   * Takes out what is left of an extent that was put in before: the parts of it that nothing has
   * covered since.
   */
  public void remove(long extent, ExtentList scratch) {
    scratch.clear();
    overlaps(Extent.start(extent), Extent.end(extent), scratch);
    for (int i = 0; i < scratch.size(); i++) {
      long part = scratch.get(i);
      if (Extent.sameData(part, extent)) {
        splice(Extent.start(part), Extent.end(part), NONE);
      }
    }
  }

  /** Clears some sectors and, unless it is {@link #NONE}, puts an extent there. */
  private void splice(int start, int end, long extent) {
    int leaf = leafWithRoom(start);
    int index = firstEndingAfter(leaf, start);

    // The run of extents that overlap is replaced by the new one, with what the first keeps in
    // front of it and what the last keeps behind it.
    int pieces = 0;
    int endLeaf = leaf;
    int endIndex = index;
    long last = NONE;
    for (int l = leaf, i = index; l < leafCount; l++, i = 0) {
      for (; i < counts[l] && Extent.start(leaves[l][i]) < end; i++) {
        long old = leaves[l][i];
        if (Extent.start(old) < start) {
          replacement[pieces++] = Extent.slice(old, Extent.start(old), start);
        }
        last = old;
        endLeaf = l;
        endIndex = i + 1;
      }
      if (i < counts[l]) {
        break;
      }
    }
    if (extent != NONE) {
      replacement[pieces++] = extent;
    }
    if (last != NONE && Extent.end(last) > end) {
      replacement[pieces++] = Extent.slice(last, end, Extent.end(last));
    }
    if (endLeaf != leaf) {
      dropUpTo(leaf, endLeaf, endIndex);
      endIndex = counts[leaf];
    }
    replace(leaf, index, endIndex, pieces);
    if (counts[leaf] == 0 && leafCount > 1) {
      removeLeaves(leaf, leaf + 1);
    }
  }

  int leafCount() {
    return leafCount;
  }

  /** Adds the parts of extents that lie in sectors {@code from} to {@code to}, in order. */
  public void overlaps(int from, int to, ExtentList into) {
    int leaf = leafOf(from);
    int index = firstEndingAfter(leaf, from);
    for (; leaf < leafCount; leaf++, index = 0) {
      for (; index < counts[leaf]; index++) {
        long extent = leaves[leaf][index];
        int start = Extent.start(extent);
        if (start >= to) {
          return;
        }
        int end = Extent.end(extent);
        into.add(
            start >= from && end <= to
                ? extent
                : Extent.slice(extent, Math.max(start, from), Math.min(end, to)));
      }
    }
  }

  /** The leaf where a sector belongs: the last one whose first extent begins at or before it. */
  private int leafOf(int sector) {
    int low = 0;
    int high = leafCount - 1;
    while (low < high) {
      int middle = (low + high + 1) >>> 1;
      if (starts[middle] <= sector) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /**
   * Where in its leaf the first extent is that ends after a sector; the count if there is none. (It
   * is then the next leaf's first, or there is none at all.)
   */
  private int firstEndingAfter(int leaf, int sector) {
    long[] extents = leaves[leaf];
    int count = counts[leaf];
    int after =
        firstStartingAfter(extents, count, Extent.lastStartingAt(sector), guess(leaf, sector));
    return after > 0 && Extent.end(extents[after - 1]) > sector ? after - 1 : after;
  }

  /**
   * Where in its leaf an extent at this sector would be if all were of one length. It mostly is
   * nearby, and each leap of a binary search is a cache miss.
   */
  private int guess(int leaf, int sector) {
    int from = starts[leaf];
    int to = leaf + 1 < leafCount ? starts[leaf + 1] : Extent.SUBTREE_SECTORS;
    return Math.clamp(
        (long) (sector - from) * counts[leaf] / Math.max(1, to - from),
        0,
        Math.max(0, counts[leaf] - 1));
  }

  /** The first of the extents that is greater than a key: searched from a guess outwards. */
  private static int firstStartingAfter(long[] extents, int count, long key, int guess) {
    int low = 0;
    int high = count;
    int step = 1;
    if (count > 0 && extents[guess] <= key) {
      low = guess + 1;
      int probe = low;
      while (probe < high && extents[probe] <= key) {
        low = probe + 1;
        step *= 2;
        probe += step;
      }
      high = Math.min(probe, high);
    } else if (count > 0) {
      high = guess;
      int probe = guess - 1;
      while (probe >= 0 && extents[probe] > key) {
        high = probe;
        step *= 2;
        probe -= step;
      }
      low = Math.max(probe + 1, 0);
    }
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (extents[middle] <= key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** The leaf where a sector belongs, cut in two first if an insertion could overflow it. */
  private int leafWithRoom(int sector) {
    int leaf = leafOf(sector);
    int count = counts[leaf];
    if (count + MAX_GROWTH <= LEAF_MAX) {
      return leaf;
    }
    // A leaf that grows at its end, as under a sequential writer, stays nearly full.
    boolean growsAtEnd = Extent.end(leaves[leaf][count - 1]) <= sector;
    splitLeaf(leaf, growsAtEnd ? count - 1 : count / 2);
    return leafOf(sector);
  }

  private void splitLeaf(int leaf, int cut) {
    if (leafCount == leaves.length) {
      leaves = Arrays.copyOf(leaves, 2 * leafCount);
      counts = Arrays.copyOf(counts, 2 * leafCount);
      starts = Arrays.copyOf(starts, 2 * leafCount);
    }
    System.arraycopy(leaves, leaf + 1, leaves, leaf + 2, leafCount - leaf - 1);
    System.arraycopy(counts, leaf + 1, counts, leaf + 2, leafCount - leaf - 1);
    System.arraycopy(starts, leaf + 1, starts, leaf + 2, leafCount - leaf - 1);
    int moved = counts[leaf] - cut;
    long[] back = new long[Math.max(LEAF_MIN_CAPACITY, moved + MAX_GROWTH)];
    System.arraycopy(leaves[leaf], cut, back, 0, moved);
    leaves[leaf + 1] = back;
    counts[leaf + 1] = moved;
    starts[leaf + 1] = Extent.start(back[0]);
    leaves[leaf] = Arrays.copyOf(leaves[leaf], cut + MAX_GROWTH);
    counts[leaf] = cut;
    leafCount++;
  }

  /**
   * Removes all behind {@code leaf} up to, but without, extent {@code endIndex} of a later leaf.
   */
  private void dropUpTo(int leaf, int endLeaf, int endIndex) {
    int kept = counts[endLeaf] - endIndex;
    System.arraycopy(leaves[endLeaf], endIndex, leaves[endLeaf], 0, kept);
    counts[endLeaf] = kept;
    starts[endLeaf] = kept == 0 ? 0 : Extent.start(leaves[endLeaf][0]);
    removeLeaves(leaf + 1, kept == 0 ? endLeaf + 1 : endLeaf);
  }

  private void removeLeaves(int from, int to) {
    System.arraycopy(leaves, to, leaves, from, leafCount - to);
    System.arraycopy(counts, to, counts, from, leafCount - to);
    System.arraycopy(starts, to, starts, from, leafCount - to);
    int removed = to - from;
    Arrays.fill(leaves, leafCount - removed, leafCount, EMPTY);
    leafCount -= removed;
  }

  /** Puts the first {@code pieces} of {@link #replacement} in place of a run of one leaf. */
  private void replace(int leaf, int index, int endIndex, int pieces) {
    long[] extents = leaves[leaf];
    int count = counts[leaf];
    int newCount = count - (endIndex - index) + pieces;
    if (newCount > extents.length) {
      extents = Arrays.copyOf(extents, Math.min(LEAF_MAX, Math.max(newCount, count + count / 2)));
      leaves[leaf] = extents;
    }
    if (index + pieces != endIndex) {
      System.arraycopy(extents, endIndex, extents, index + pieces, count - endIndex);
    }
    System.arraycopy(replacement, 0, extents, index, pieces);
    counts[leaf] = newCount;
    starts[leaf] = newCount == 0 ? 0 : Extent.start(extents[0]);
  }
}
