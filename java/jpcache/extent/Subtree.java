package jpcache.extent;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * The extents of 4 MiB of the logical device: ordered, disjoint, of any length.
 *
 * <p>They are kept in leaves: sorted arrays of packed longs of at most {@value #LEAF_MAX}. A
 * subtree begins as one small leaf and costs 8 to 16 bytes an extent; a full leaf is cut in two. No
 * leaf is empty unless it is the only one, and all extents of a leaf lie before those of the next,
 * so the place of a sector is found by a search over the leaves' tops and one inside a leaf. A tree
 * of objects, as the kernel has, costs three times the copy of 4 KiB here (docs/performance.md).
 *
 * <pre>
 *   tops      | first sector, count | first sector, count | ...   12 leaves to a cache line
 *   leaves    |          o          |          o          | ...
 *                        v
 *                     extents        sorted
 *                     data_crcs      beside them, for caches that keep them
 * </pre>
 *
 * <p>Whoever changes a subtree, or needs what it says to stay true, holds its monitor. Whoever only
 * looks need not:
 *
 * <pre>
 *   int stamp = subtree.stamp();
 *   if (subtree.peek(from, to, extents) &amp;&amp; subtree.unchangedSince(stamp)) {
 *     // the extents, and what was read of other things in between, were so at one moment
 *   }
 * </pre>
 *
 * <p>A monitor would cost a reader more than two atomic instructions: those wait for all of the
 * copy before them, while without them the next search runs ahead into it.
 *
 * <p>Kernel counterpart: {@code struct pcache_cache_subtree}, {@code cache_key.c:
 * cache_key_insert}.
 */
public final class Subtree {
  static final int LEAF_MAX = 128;

  private static final int LEAF_MIN_CAPACITY = 4;

  /** As full as leaves are on an average that were filled at random. */
  private static final int LEAF_FILL = LEAF_MAX * 3 / 4;

  /** An insertion adds this many extents at the most: one that lies inside another splits it. */
  private static final int MAX_GROWTH = 2;

  private static final long NONE = -1;
  private static final long[] NO_EXTENTS = {};
  private static final int[] NO_CRCS = {};

  /** A top has the count in its low bits and the sector above. */
  private static final int COUNT_BITS = 8;

  private static final int COUNT_MASK = (1 << COUNT_BITS) - 1;

  private static final VarHandle VERSION;

  static {
    try {
      VERSION = MethodHandles.lookup().findVarHandle(Subtree.class, "version", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  /** Odd while extents are being changed. */
  private int version;

  private int leafCount = 1;
  private int[] tops = {0};
  private long[][] leaves = {new long[LEAF_MIN_CAPACITY]};
  private final boolean keepsCrcs;
  private int[][] dataCrcs;
  private final long[] replacement = new long[1 + MAX_GROWTH];
  private int zeroKeys;
  private int dirtyZeroKeys;
  private final int[] replacementCrcs;

  public Subtree() {
    this(false);
  }

  /**
   * An empty subtree.
   *
   * @param keepsCrcs whether it keeps the data_crc of each key
   */
  public Subtree(boolean keepsCrcs) {
    this.keepsCrcs = keepsCrcs;
    dataCrcs = keepsCrcs ? new int[][] {new int[LEAF_MIN_CAPACITY]} : new int[][] {};
    replacementCrcs = keepsCrcs ? new int[1 + MAX_GROWTH] : NO_CRCS;
  }

  /** How many extents there are. */
  public int size() {
    int size = 0;
    for (int leaf = 0; leaf < leafCount; leaf++) {
      size += count(leaf);
    }
    return size;
  }

  int leafCount() {
    return leafCount;
  }

  // ---- looking ----

  /** What {@link #unchangedSince} is to be asked with. */
  public int stamp() {
    return (int) VERSION.getAcquire(this);
  }

  /** Whether nothing has changed since a stamp was taken, nor was changing then. */
  public boolean unchangedSince(int stamp) {
    VarHandle.acquireFence(); // all that was read comes before
    return (stamp & 1) == 0 && (int) VERSION.getOpaque(this) == stamp;
  }

  /**
   * Has the memory brought near that a {@link #peek} for a sector will look at, about. Of several
   * such calls in a row the waits overlap, since none needs what another has found.
   *
   * @return anything, to be used for something
   */
  public long touch(int sector) {
    try {
      int leaf = leafGuess(sector);
      long[] extents = leaves[leaf];
      int within = (sector * leafCount) & (Extent.SUBTREE_SECTORS - 1);
      long index = ((long) within * extents.length) >>> Extent.SUBTREE_SECTORS_SHIFT;
      return tops[leaf] + extents[(int) index];
    } catch (IndexOutOfBoundsException | NullPointerException e) {
      return 0; // arrays and counts of different moments, or no extents
    }
  }

  /**
   * As {@link #overlaps}, for whoever does not hold the monitor: what it adds is rubbish if there
   * has been a change meanwhile.
   *
   * @return false if it met a change; true does not mean that there was none
   */
  public boolean peek(int from, int to, ExtentList into) {
    try {
      overlaps(from, to, into);
      return true;
    } catch (IndexOutOfBoundsException | NullPointerException | IllegalArgumentException e) {
      return false; // arrays and counts of different moments
    }
  }

  /** Adds the parts of extents that lie in sectors {@code from} to {@code to}, in order. */
  public void overlaps(int from, int to, ExtentList into) {
    int leaf = leafOf(from);
    int index = firstEndingAfter(leaf, from);
    for (; leaf < leafCount; leaf++, index = 0) {
      long[] extents = leaves[leaf];
      int count = count(leaf);
      for (; index < count; index++) {
        long extent = extents[index];
        if (Extent.start(extent) >= to) {
          return;
        }
        into.add(Extent.clip(extent, from, to), keepsCrcs ? dataCrcs[leaf][index] : 0);
      }
    }
  }

  // ---- changing: with the monitor held ----

  /**
   * Puts the extent of a key in, over whatever it overlaps: what it covers goes, what it covers in
   * part is cut, what it lies inside of is split.
   *
   * <pre>
   *   old ends before new begins    untouched
   *   old begins after new ends     untouched
   *   new covers old's head         old keeps its back
   *   new covers all of old         old goes
   *   new lies inside old           old keeps its front and its back
   *   new covers old's tail         old keeps its front
   * </pre>
   *
   * @param dataCrc the key's; ignored where none are kept
   */
  public void insert(long extent, int dataCrc) {
    beginChange();
    try {
      splice(Extent.start(extent), Extent.end(extent), entered(extent), dataCrc);
    } finally {
      endChange();
    }
  }

  /** What the extent of a key is here, as long as nothing covers a part of it. */
  long entered(long extent) {
    return keepsCrcs ? Extent.whole(extent) : extent;
  }

  /** Has these extents, ordered and disjoint, in place of all that it has. */
  void replaceAll(ExtentList extents) {
    beginChange();
    try {
      fillLeaves(extents);
    } finally {
      endChange();
    }
  }

  private void fillLeaves(ExtentList extents) {
    leafCount = Math.max(1, Math.ceilDiv(extents.size(), LEAF_FILL));
    tops = new int[leafCount];
    leaves = new long[leafCount][];
    dataCrcs = new int[keepsCrcs ? leafCount : 0][];
    int from = 0;
    for (int leaf = 0; leaf < leafCount; leaf++) {
      int to = (leaf + 1) * extents.size() / leafCount;
      leaves[leaf] = extents.copyOf(from, to, to - from + MAX_GROWTH);
      if (keepsCrcs) {
        dataCrcs[leaf] = extents.copyOfCrcs(from, to, to - from + MAX_GROWTH);
      }
      setTop(leaf, to - from);
      from = to;
    }
  }

  /** The same, where no checksums are kept. */
  public void insert(long extent) {
    insert(extent, 0);
  }

  /** Takes out whatever lies in sectors {@code from} to {@code to}. */
  public void clear(int from, int to) {
    beginChange();
    try {
      splice(from, to, NONE, 0);
    } finally {
      endChange();
    }
  }

  /**
   * Takes out what is left of an extent that was put in before: the parts of it that nothing has
   * covered since.
   */
  public void remove(long extent, ExtentList scratch) {
    scratch.clear();
    overlaps(Extent.start(extent), Extent.end(extent), scratch);
    beginChange();
    try {
      for (int i = 0; i < scratch.size(); i++) {
        long part = scratch.get(i);
        if (Extent.sameData(part, extent)) {
          splice(Extent.start(part), Extent.end(part), NONE, 0);
        }
      }
    } finally {
      endChange();
    }
  }

  /**
   * Marks what is left of an extent as clean. What reaches beyond it was not written with it and
   * stays as it is.
   */
  public void markClean(long extent) {
    int end = Extent.end(extent);
    int leaf = leafOf(Extent.start(extent));
    int index = firstEndingAfter(leaf, Extent.start(extent));
    for (; leaf < leafCount; leaf++, index = 0) {
      for (; index < count(leaf); index++) {
        long part = leaves[leaf][index];
        if (Extent.start(part) >= end) {
          return;
        }
        if (Extent.sameData(part, extent)
            && Extent.start(part) >= Extent.start(extent)
            && Extent.end(part) <= end) {
          leaves[leaf][index] = Extent.clean(part); // who looks meanwhile sees it so or so
        }
      }
    }
  }

  /** Whether all that is left of an extent is clean. */
  public boolean isClean(long extent) {
    int end = Extent.end(extent);
    int leaf = leafOf(Extent.start(extent));
    int index = firstEndingAfter(leaf, Extent.start(extent));
    for (; leaf < leafCount; leaf++, index = 0) {
      for (; index < count(leaf) && Extent.start(leaves[leaf][index]) < end; index++) {
        long part = leaves[leaf][index];
        if (Extent.sameData(part, extent) && !Extent.isClean(part)) {
          return false;
        }
      }
      if (index < count(leaf)) {
        break;
      }
    }
    return true;
  }

  /** The log has a key more that makes zeros of a part of this subtree. */
  public void addZeroKey(boolean dirty) {
    zeroKeys++;
    dirtyZeroKeys += dirty ? 1 : 0;
  }

  /** One of them is no longer dirty; returns whether it was the last that was. */
  public boolean cleanZeroKey() {
    return --dirtyZeroKeys == 0;
  }

  /** The log has one less; returns whether it was the last. */
  public boolean removeZeroKey() {
    return --zeroKeys == 0;
  }

  // A change that fails has ended, too, or the version would be odd between changes from then on.
  // Memory that an insertion needs is taken before anything changes.

  private void beginChange() {
    VERSION.setOpaque(this, version + 1);
    VarHandle.storeStoreFence(); // before any of the change
  }

  private void endChange() {
    VERSION.setRelease(this, version + 1);
  }

  /** Clears some sectors and, unless it is {@link #NONE}, puts an extent there. */
  private void splice(int start, int end, long extent, int dataCrc) {
    int leaf = leafWithRoom(start);
    int index = firstEndingAfter(leaf, start);
    if (extent != NONE && index < count(leaf) && Extent.sameSectors(leaves[leaf][index], extent)) {
      // Nothing moves and no other line of memory changes, which another core may have.
      leaves[leaf][index] = extent;
      if (keepsCrcs) {
        dataCrcs[leaf][index] = dataCrc;
      }
      return;
    }

    // The run of extents that overlap is replaced by the new one, with what the first keeps in
    // front of it and what the last keeps behind it. A part has no checksum.
    int pieces = 0;
    int endLeaf = leaf;
    int endIndex = index;
    long last = NONE;
    for (int l = leaf, i = index; l < leafCount; l++, i = 0) {
      for (; i < count(l) && Extent.start(leaves[l][i]) < end; i++) {
        long old = leaves[l][i];
        if (Extent.start(old) < start) {
          replacement[pieces++] = Extent.slice(old, Extent.start(old), start);
        }
        last = old;
        endLeaf = l;
        endIndex = i + 1;
      }
      if (i < count(l)) {
        break;
      }
    }
    if (extent != NONE) {
      if (keepsCrcs) {
        replacementCrcs[pieces] = dataCrc;
      }
      replacement[pieces++] = extent;
    }
    if (last != NONE && Extent.end(last) > end) {
      replacement[pieces++] = Extent.slice(last, end, Extent.end(last));
    }
    int kept = endLeaf == leaf ? count(leaf) - endIndex : 0;
    growLeaf(leaf, index + pieces + kept);
    if (endLeaf != leaf) {
      dropUpTo(leaf, endLeaf, endIndex);
      endIndex = count(leaf);
    }
    replace(leaf, index, endIndex, pieces);
    if (count(leaf) == 0 && leafCount > 1) {
      removeLeaves(leaf, leaf + 1);
    }
  }

  // ---- searching ----

  private int count(int leaf) {
    return tops[leaf] & COUNT_MASK;
  }

  private int firstSector(int leaf) {
    return tops[leaf] >>> COUNT_BITS;
  }

  private void setTop(int leaf, int count) {
    int first = count == 0 ? 0 : Extent.start(leaves[leaf][0]);
    tops[leaf] = first << COUNT_BITS | count;
  }

  /** The leaf where a sector would be if all were of one length. */
  private int leafGuess(int sector) {
    return (sector * leafCount) >>> Extent.SUBTREE_SECTORS_SHIFT;
  }

  /**
   * The leaf where a sector belongs: the last one whose first extent begins at or before it. It is
   * looked for from {@link #leafGuess}.
   */
  private int leafOf(int sector) {
    int last = leafCount - 1;
    int behind = (sector + 1) << COUNT_BITS;
    int leaf = leafGuess(sector);
    while (leaf < last && tops[leaf + 1] < behind) {
      leaf++;
    }
    while (leaf > 0 && tops[leaf] >= behind) {
      leaf--;
    }
    return leaf;
  }

  /**
   * Where in its leaf the first extent is that ends after a sector; the count if there is none. (It
   * is then the next leaf's first, or there is none at all.)
   */
  private int firstEndingAfter(int leaf, int sector) {
    long[] extents = leaves[leaf];
    int after =
        firstStartingAfter(
            extents, count(leaf), Extent.lastStartingAt(sector), guess(leaf, sector));
    return after > 0 && Extent.end(extents[after - 1]) > sector ? after - 1 : after;
  }

  /**
   * Where in its leaf an extent at this sector would be if all were of one length. It mostly is
   * nearby, and each leap of a binary search is a cache miss.
   */
  private int guess(int leaf, int sector) {
    int from = firstSector(leaf);
    int to = leaf + 1 < leafCount ? firstSector(leaf + 1) : Extent.SUBTREE_SECTORS;
    int count = count(leaf);
    return Math.clamp((sector - from) * count / Math.max(1, to - from), 0, Math.max(0, count - 1));
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

  // ---- leaves ----

  /** The leaf where a sector belongs, cut in two first if an insertion could overflow it. */
  private int leafWithRoom(int sector) {
    int leaf = leafOf(sector);
    int count = count(leaf);
    if (count + MAX_GROWTH <= LEAF_MAX) {
      return leaf;
    }
    // A leaf that grows at its end, as under a sequential writer, stays nearly full.
    boolean growsAtEnd = Extent.end(leaves[leaf][count - 1]) <= sector;
    splitLeaf(leaf, growsAtEnd ? count - 1 : count / 2);
    return leafOf(sector);
  }

  private void splitLeaf(int leaf, int cut) {
    int count = count(leaf);
    int capacity = Math.max(LEAF_MIN_CAPACITY, count - cut + MAX_GROWTH);
    long[] front = Arrays.copyOf(leaves[leaf], cut + MAX_GROWTH);
    long[] back = Arrays.copyOf(Arrays.copyOfRange(leaves[leaf], cut, count), capacity);
    int[] frontCrcs = NO_CRCS;
    int[] backCrcs = NO_CRCS;
    if (keepsCrcs) {
      frontCrcs = Arrays.copyOf(dataCrcs[leaf], cut + MAX_GROWTH);
      backCrcs = Arrays.copyOf(Arrays.copyOfRange(dataCrcs[leaf], cut, count), capacity);
    }
    if (leafCount == leaves.length) {
      growLists();
    }
    int behind = leafCount - leaf - 1;
    System.arraycopy(leaves, leaf + 1, leaves, leaf + 2, behind);
    System.arraycopy(tops, leaf + 1, tops, leaf + 2, behind);
    leaves[leaf] = front;
    leaves[leaf + 1] = back;
    if (keepsCrcs) {
      System.arraycopy(dataCrcs, leaf + 1, dataCrcs, leaf + 2, behind);
      dataCrcs[leaf] = frontCrcs;
      dataCrcs[leaf + 1] = backCrcs;
    }
    setTop(leaf, cut);
    setTop(leaf + 1, count - cut);
    leafCount++;
  }

  /** Makes room for twice the leaves. */
  private void growLists() {
    long[][] moreLeaves = Arrays.copyOf(leaves, 2 * leafCount);
    int[] moreTops = Arrays.copyOf(tops, 2 * leafCount);
    dataCrcs = keepsCrcs ? Arrays.copyOf(dataCrcs, 2 * leafCount) : dataCrcs;
    leaves = moreLeaves;
    tops = moreTops;
  }

  /** Makes room in a leaf for so many extents. */
  private void growLeaf(int leaf, int extents) {
    if (extents > leaves[leaf].length) {
      int count = count(leaf);
      int capacity = Math.min(LEAF_MAX, Math.max(extents, count + count / 2));
      long[] grown = Arrays.copyOf(leaves[leaf], capacity);
      if (keepsCrcs) {
        dataCrcs[leaf] = Arrays.copyOf(dataCrcs[leaf], capacity);
      }
      leaves[leaf] = grown;
    }
  }

  /**
   * Removes all behind {@code leaf} up to, but without, extent {@code endIndex} of a later leaf.
   */
  private void dropUpTo(int leaf, int endLeaf, int endIndex) {
    int kept = count(endLeaf) - endIndex;
    moveWithin(endLeaf, endIndex, 0, kept);
    setTop(endLeaf, kept);
    removeLeaves(leaf + 1, kept == 0 ? endLeaf + 1 : endLeaf);
  }

  private void removeLeaves(int from, int to) {
    int behind = leafCount - to;
    int left = from + behind;
    System.arraycopy(leaves, to, leaves, from, behind);
    System.arraycopy(tops, to, tops, from, behind);
    Arrays.fill(leaves, left, leafCount, NO_EXTENTS);
    if (keepsCrcs) {
      System.arraycopy(dataCrcs, to, dataCrcs, from, behind);
      Arrays.fill(dataCrcs, left, leafCount, NO_CRCS);
    }
    leafCount = left;
  }

  /** Puts the first {@code pieces} of {@link #replacement} in place of a run of one leaf. */
  private void replace(int leaf, int index, int endIndex, int pieces) {
    int count = count(leaf);
    int newCount = count - (endIndex - index) + pieces;
    if (index + pieces != endIndex) {
      moveWithin(leaf, endIndex, index + pieces, count - endIndex);
    }
    System.arraycopy(replacement, 0, leaves[leaf], index, pieces);
    if (keepsCrcs) {
      System.arraycopy(replacementCrcs, 0, dataCrcs[leaf], index, pieces);
    }
    setTop(leaf, newCount);
  }

  private void moveWithin(int leaf, int from, int to, int extents) {
    System.arraycopy(leaves[leaf], from, leaves[leaf], to, extents);
    if (keepsCrcs) {
      System.arraycopy(dataCrcs[leaf], from, dataCrcs[leaf], to, extents);
    }
  }
}
