package jpcache.extent;

import java.util.Arrays;

/**
 * Lays the extents of one subtree over each other, the newest first: of each that comes, only what
 * no newer one covers is kept. What is left is what inserting them the other way round leaves, at a
 * few instructions an extent, since nothing is searched, moved or cut that does not stay.
 *
 * <pre>
 *   came       +--- c ---+         c is the newest: all of it is kept
 *           +- b -+                b's front
 *       +-------- a ---------+     a's front and back
 *   kept   aaabbbcccccccccccaaa
 * </pre>
 *
 * <p>For one thread, again and again.
 */
final class Overlay {
  private static final int WORDS = Extent.SUBTREE_SECTORS / Long.SIZE;

  /** A bit for each sector. */
  private final long[] covered = new long[WORDS];

  // What is kept, by the sector where it begins; a bit where something does.
  private final long[] begins = new long[WORDS];
  private final long[] parts = new long[Extent.SUBTREE_SECTORS];
  private final int[] dataCrcs = new int[Extent.SUBTREE_SECTORS];

  /** Keeps what nothing covers of an extent that is older than all before. */
  void add(long extent, int dataCrc) {
    int start = Extent.start(extent);
    int end = Extent.end(extent);
    int word = start / Long.SIZE;
    if ((end - 1) / Long.SIZE == word) {
      // Mostly it is covered, or not, as a whole.
      long bits = bits(start, end);
      long old = covered[word];
      if ((old & bits) == bits) {
        return;
      }
      if ((old & bits) == 0) {
        covered[word] = old | bits;
        keep(start, extent, dataCrc);
        return;
      }
    }
    int from = next(-1L, start, end);
    while (from < end) {
      int to = next(0, from, end);
      keep(from, Extent.clip(extent, from, to), dataCrc);
      from = to == end ? end : next(-1L, to, end);
    }
    cover(extent);
  }

  /** Keeps nothing of all that is older where this extent is. */
  void cover(long extent) {
    int end = Extent.end(extent);
    for (int from = Extent.start(extent); from < end; ) {
      int word = from / Long.SIZE;
      int to = Math.min(end, (word + 1) * Long.SIZE);
      covered[word] |= bits(from, to);
      from = to;
    }
  }

  /** Hands out all that is kept, in order, and is empty then. */
  void drainTo(ExtentList into) {
    for (int word = 0; word < WORDS; word++) {
      for (long bits = begins[word]; bits != 0; bits &= bits - 1) {
        int at = word * Long.SIZE + Long.numberOfTrailingZeros(bits);
        into.add(parts[at], dataCrcs[at]);
      }
    }
    Arrays.fill(begins, 0);
    Arrays.fill(covered, 0);
  }

  private void keep(int start, long part, int dataCrc) {
    begins[start / Long.SIZE] |= 1L << start;
    parts[start] = part;
    dataCrcs[start] = dataCrc;
  }

  /** Those of the sectors from one to another that lie in one word. */
  private static long bits(int from, int to) {
    return -1L >>> (Long.SIZE - (to - from)) << from;
  }

  /**
   * The first sector from one to another that is covered, or with all bits of {@code flip} set that
   * is not; the latter if there is none.
   */
  private int next(long flip, int from, int to) {
    int word = from / Long.SIZE;
    int last = (to - 1) / Long.SIZE;
    long bits = (covered[word] ^ flip) & (-1L << from);
    while (bits == 0 && word < last) {
      bits = covered[++word] ^ flip;
    }
    return bits == 0 ? to : Math.min(to, word * Long.SIZE + Long.numberOfTrailingZeros(bits));
  }
}
