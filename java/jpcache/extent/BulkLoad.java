package jpcache.extent;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Puts very many extents into a map: the result is as if each had been inserted in turn, and it is
 * there much sooner.
 *
 * <p>Keys of a log jump from subtree to subtree, so that each insertion waits for memory. Here they
 * are dealt out to buckets by subtree, a chunk of them at a time, and while one chunk is dealt out
 * the buckets of the last are emptied into the map, one at a time on each core. Extents of one
 * subtree are in one bucket, in the order in which they came, and nothing else needs an order. A
 * subtree that gets many is made anew from an {@link Overlay} of what it had and what came.
 *
 * <pre>
 *   came      a1 c1 b1 a2 b2 c2 a3
 *   buckets   a1 a2 a3 | c1 b1 b2 c2          one subtree may not be in two
 *   groups    a1 a2 a3 | b1 b2 | c1 c2        each is inserted, or laid over its subtree
 * </pre>
 *
 * <p>For one thread, while nobody else uses the map; it itself may count zero keys meanwhile, which
 * no insertion touches. {@link #finish} ends it.
 */
public final class BulkLoad {
  /** Large enough that many extents of a chunk share a subtree; 16 MiB, twice. */
  private static final int CHUNK = 1 << 20;

  /** Fewer are inserted sooner than others are told to help. */
  private static final int MIN_SHARED = 1 << 14;

  /** As many as a processor can write to by turns and still have the next place of each at hand. */
  private static final int BUCKETS = 1 << 5;

  /** Extents that a bucket makes room for at a time. */
  private static final int BLOCK = 1 << 9;

  /** What a bucket keeps room for: twice its share of a chunk. */
  private static final int BLOCKS_KEPT = 2 * CHUNK / BUCKETS / BLOCK;

  /** Of a bucket. Up to 256 GiB of the device each group is one subtree. */
  private static final int GROUPS = 1 << 11;

  /** With fewer new extents than this it costs more to lay a full subtree's over each other. */
  private static final int MIN_OVERLAY = 64;

  /** The bit that no extent has: what it covers goes, and nothing comes. */
  private static final long NOTHING = Long.MIN_VALUE;

  private final ExtentMap map;
  private Chunk chunk;
  private Chunk last;

  public BulkLoad(ExtentMap map) {
    this.map = map;
    chunk = new Chunk();
    last = new Chunk();
  }

  /**
   * Adds the extent of a key.
   *
   * @param offset of its first byte on the logical device
   * @param dataCrc as for {@link Subtree#insert}
   */
  public void add(long offset, long extent, int dataCrc) {
    chunk.add((int) (offset >>> ExtentMap.SUBTREE_SHIFT), extent, dataCrc);
    if (chunk.size == CHUNK) {
      insertChunk();
    }
  }

  /** Takes out what has been added so far of where an extent is. */
  public void clear(long offset, long extent) {
    add(offset, extent | NOTHING, 0);
  }

  /** All that were added are in the map when this returns. */
  public void finish() {
    insertChunk();
    last.finish();
  }

  /** How many extents there is room for. */
  int roomExtents() {
    return chunk.roomExtents() + last.roomExtents();
  }

  private void insertChunk() {
    last.finish();
    Chunk full = chunk;
    chunk = last;
    last = full;
    full.begin();
  }

  /**
   * The extents of a bucket, in the order in which they came: two longs for each, the second with
   * the subtree above the checksum. They are side by side, since the processor has to fetch each
   * place of memory that is written to.
   */
  private static final class Bucket {
    private final List<long[]> blocks = new ArrayList<>();
    private long[] block = {};
    private int size;

    void add(int subtree, long extent, int dataCrc) {
      int at = size % BLOCK;
      if (at == 0) {
        nextBlock();
      }
      block[2 * at] = extent;
      block[2 * at + 1] = (long) subtree << Integer.SIZE | Integer.toUnsignedLong(dataCrc);
      size++;
    }

    /** Forgets all, and the room that only few logs would need again. */
    void clear() {
      size = 0;
      if (blocks.size() > BLOCKS_KEPT) {
        blocks.subList(BLOCKS_KEPT, blocks.size()).clear();
      }
    }

    private void nextBlock() {
      int index = size / BLOCK;
      if (index == blocks.size()) {
        blocks.add(new long[2 * BLOCK]);
      }
      block = blocks.get(index);
    }
  }

  private final class Chunk {
    private final Bucket[] buckets = new Bucket[BUCKETS];
    private final AtomicInteger next = new AtomicInteger();
    private final List<ForkJoinTask<?>> helpers = new ArrayList<>();
    private int size;

    Chunk() {
      Arrays.setAll(buckets, bucket -> new Bucket());
    }

    void add(int subtree, long extent, int dataCrc) {
      buckets[subtree & (BUCKETS - 1)].add(subtree, extent, dataCrc);
      size++;
    }

    int roomExtents() {
      return Arrays.stream(buckets).mapToInt(bucket -> bucket.blocks.size() * BLOCK).sum();
    }

    /** Has other threads insert it. */
    void begin() {
      next.set(0);
      for (int i = 1; i < Runtime.getRuntime().availableProcessors() && size >= MIN_SHARED; i++) {
        helpers.add(ForkJoinPool.commonPool().submit(this::insertBuckets));
      }
    }

    /** Helps them; then it is empty. */
    void finish() {
      if (size > 0) {
        insertBuckets();
        helpers.forEach(ForkJoinTask::join);
        helpers.clear();
        size = 0;
      }
    }

    private void insertBuckets() {
      BucketInsertion insertion = new BucketInsertion();
      for (int i = next.getAndIncrement(); i < BUCKETS; i = next.getAndIncrement()) {
        insertion.insert(buckets[i]);
        buckets[i].clear();
      }
    }
  }

  /** Puts one bucket after another into the map, on one of the threads. */
  private final class BucketInsertion {
    private final Overlay overlay = new Overlay();
    private final ExtentList parts = new ExtentList();
    private final int[] groupEnds = new int[GROUPS];
    private long[] grouped = {};

    void insert(Bucket bucket) {
      group(bucket);
      int begin = 0;
      for (int end : groupEnds) {
        if (worthOverlaying(begin, end)) {
          overlay(begin, end);
        } else {
          insert(begin, end);
        }
        begin = end;
      }
    }

    /** A counting sort: it keeps the order within a group. */
    private void group(Bucket bucket) {
      if (grouped.length < 2 * bucket.size) {
        grouped = new long[2 * Integer.highestOneBit(2 * bucket.size)];
      }
      Arrays.fill(groupEnds, 0);
      for (int i = 0; i < bucket.size; i++) {
        groupEnds[groupOf(bucket.blocks.get(i / BLOCK)[2 * (i % BLOCK) + 1])]++;
      }
      int end = 0;
      for (int group = 0; group < GROUPS; group++) {
        int count = groupEnds[group];
        groupEnds[group] = end; // where it begins; what follows moves it to where it ends
        end += count;
      }
      for (int i = 0; i < bucket.size; i++) {
        long[] block = bucket.blocks.get(i / BLOCK);
        long second = block[2 * (i % BLOCK) + 1];
        int at = groupEnds[groupOf(second)]++;
        grouped[2 * at] = block[2 * (i % BLOCK)];
        grouped[2 * at + 1] = second;
      }
    }

    private static int groupOf(long second) {
      return (int) (second >>> Integer.SIZE) / BUCKETS % GROUPS;
    }

    private boolean worthOverlaying(int begin, int end) {
      if (end - begin < MIN_OVERLAY) {
        return false;
      }
      for (int i = begin; i < end; i++) {
        if (subtreeIndex(i) != subtreeIndex(begin)) {
          return false;
        }
      }
      return true;
    }

    private void overlay(int begin, int end) {
      Subtree subtree = subtree(begin);
      for (int i = end - 1; i >= begin; i--) {
        long extent = grouped[2 * i];
        if (extent < 0) {
          overlay.cover(extent & ~NOTHING);
        } else {
          overlay.add(subtree.entered(extent), (int) grouped[2 * i + 1]);
        }
      }
      parts.clear();
      subtree.overlaps(0, Extent.SUBTREE_SECTORS, parts);
      for (int i = 0; i < parts.size(); i++) {
        overlay.add(parts.get(i), parts.dataCrc(i));
      }
      parts.clear();
      overlay.drainTo(parts);
      subtree.replaceAll(parts);
    }

    private void insert(int begin, int end) {
      for (int i = begin; i < end; i++) {
        long extent = grouped[2 * i];
        if (extent < 0) {
          extent &= ~NOTHING;
          subtree(i).clear(Extent.start(extent), Extent.end(extent));
        } else {
          subtree(i).insert(extent, (int) grouped[2 * i + 1]);
        }
      }
    }

    private int subtreeIndex(int i) {
      return (int) (grouped[2 * i + 1] >>> Integer.SIZE);
    }

    private Subtree subtree(int i) {
      return map.subtree((long) subtreeIndex(i) << ExtentMap.SUBTREE_SHIFT);
    }
  }
}
