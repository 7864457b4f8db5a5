package jpcache.extent;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Puts very many extents into a map: the result is as if each had been inserted in turn, and it is
 * there much sooner.
 *
 * <p>Keys of a log jump from subtree to subtree, so that each insertion waits for memory. Here a
 * chunk of them is collected and dealt out to buckets by subtree; then the buckets are inserted,
 * one at a time on each core. Extents of one subtree are in one bucket, in the order in which they
 * came, and nothing else needs an order.
 *
 * <pre>
 *   came      a1 c1 b1 a2 b2 c2 a3
 *   buckets   a1 a2 a3 | b1 b2 | c1 c2        one subtree may not be in two
 * </pre>
 *
 * <p>For one thread, while nobody else uses the map. {@link #finish} ends it.
 */
public final class BulkLoad {
  private static final int FIRST_CAPACITY = 1 << 12;

  /** Large enough that many extents of a chunk share a subtree, and 32 MiB. */
  private static final int CHUNK = 1 << 20;

  /** A bucket's subtrees should fit a core's cache, and there should be many for each core. */
  private static final int BUCKETS = 1 << 11;

  /** The bit that no extent has: what it covers goes, and nothing comes. */
  private static final long NOTHING = Long.MIN_VALUE;

  private final ExtentMap map;
  private int size;

  // In the order in which they came.
  private int[] subtrees = new int[FIRST_CAPACITY];
  private long[] extents = new long[FIRST_CAPACITY];
  private int[] dataCrcs = new int[FIRST_CAPACITY];

  // By bucket.
  private int[] dealtSubtrees = {};
  private long[] dealtExtents = {};
  private int[] dealtCrcs = {};
  private final int[] bucketEnds = new int[BUCKETS];

  public BulkLoad(ExtentMap map) {
    this.map = map;
  }

  /**
   * Adds the extent of a key.
   *
   * @param offset of its first byte on the logical device
   * @param dataCrc as for {@link Subtree#insert}
   */
  public void add(long offset, long extent, int dataCrc) {
    if (size == extents.length) {
      if (size == CHUNK) {
        insertAll();
      } else {
        subtrees = Arrays.copyOf(subtrees, 2 * size);
        extents = Arrays.copyOf(extents, 2 * size);
        dataCrcs = Arrays.copyOf(dataCrcs, 2 * size);
      }
    }
    subtrees[size] = (int) (offset >>> ExtentMap.SUBTREE_SHIFT);
    extents[size] = extent;
    dataCrcs[size] = dataCrc;
    size++;
  }

  /** Takes out what has been added so far of where an extent is. */
  public void clear(long offset, long extent) {
    add(offset, extent | NOTHING, 0);
  }

  /** All that were added are in the map when this returns. */
  public void finish() {
    insertAll();
  }

  private void insertAll() {
    deal();
    IntStream.range(0, BUCKETS).parallel().forEach(this::insertBucket);
    size = 0;
  }

  /** A counting sort: it keeps the order within a bucket. */
  private void deal() {
    if (dealtExtents.length < size) {
      dealtSubtrees = new int[extents.length];
      dealtExtents = new long[extents.length];
      dealtCrcs = new int[extents.length];
    }
    Arrays.fill(bucketEnds, 0);
    for (int i = 0; i < size; i++) {
      bucketEnds[bucket(subtrees[i])]++;
    }
    int end = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int count = bucketEnds[bucket];
      bucketEnds[bucket] = end; // where it begins; dealing moves it to where it ends
      end += count;
    }
    for (int i = 0; i < size; i++) {
      int at = bucketEnds[bucket(subtrees[i])]++;
      dealtSubtrees[at] = subtrees[i];
      dealtExtents[at] = extents[i];
      dealtCrcs[at] = dataCrcs[i];
    }
  }

  private static int bucket(int subtree) {
    return subtree & (BUCKETS - 1);
  }

  private void insertBucket(int bucket) {
    int begin = bucket == 0 ? 0 : bucketEnds[bucket - 1];
    for (int i = begin; i < bucketEnds[bucket]; i++) {
      Subtree subtree = map.subtree((long) dealtSubtrees[i] << ExtentMap.SUBTREE_SHIFT);
      long extent = dealtExtents[i];
      if (extent < 0) {
        subtree.clear(Extent.start(extent & ~NOTHING), Extent.end(extent & ~NOTHING));
      } else {
        subtree.insert(extent, dealtCrcs[i]);
      }
    }
  }
}
