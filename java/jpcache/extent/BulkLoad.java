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

  /** Large enough that many extents of a chunk share a subtree, and 24 MiB. */
  private static final int CHUNK = 1 << 20;

  /** A bucket's subtrees should fit a core's cache, and there should be many for each core. */
  private static final int BUCKETS = 1 << 11;

  private final ExtentMap map;
  private int size;

  // In the order in which they came.
  private int[] subtrees = new int[FIRST_CAPACITY];
  private long[] extents = new long[FIRST_CAPACITY];

  // By bucket.
  private int[] dealtSubtrees = {};
  private long[] dealtExtents = {};
  private final int[] bucketEnds = new int[BUCKETS];

  public BulkLoad(ExtentMap map) {
    this.map = map;
  }

  /** Adds the extent of a key: all in bytes, the offset that of the logical device. */
  public void add(long offset, int length, int segment, int segmentOffset) {
    if (size == extents.length) {
      if (size == CHUNK) {
        insertAll();
      } else {
        subtrees = Arrays.copyOf(subtrees, 2 * size);
        extents = Arrays.copyOf(extents, 2 * size);
      }
    }
    subtrees[size] = (int) (offset >>> ExtentMap.SUBTREE_SHIFT);
    extents[size] = Extent.ofBytes(offset, length, segment, segmentOffset);
    size++;
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
    }
  }

  private static int bucket(int subtree) {
    return subtree & (BUCKETS - 1);
  }

  private void insertBucket(int bucket) {
    int begin = bucket == 0 ? 0 : bucketEnds[bucket - 1];
    for (int i = begin; i < bucketEnds[bucket]; i++) {
      map.subtree((long) dealtSubtrees[i] << ExtentMap.SUBTREE_SHIFT).insert(dealtExtents[i]);
    }
  }
}
