package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.PatternBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What is read often stays in the cache, by hit ratios. */
class HotDataTest {
  private static final int BLOCK = 64 << 10;
  private static final int BLOCKS = 10_000;

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(BLOCK);
  private final PatternBacking backing = new PatternBacking((long) BLOCKS * BLOCK);
  private Cache cache = open(50);
  private BlockQueue queue = cache.openQueue();

  @AfterEach
  void unmap() {
    queue.close();
    region.close();
    arena.close();
  }

  /** A cache that has room for some 2,300 blocks before it collects. */
  private Cache open(int keepPercent) {
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 30);
    return Cache.open(
        region, backing, CacheOptions.defaults().withLanes(1).withKeepPercent(keepPercent));
  }

  private void reopen(int keepPercent) {
    queue.close();
    cache = open(keepPercent);
    queue = cache.openQueue();
  }

  /** Whether it was a hit. */
  private boolean read(int block) {
    int before = backing.reads();
    int[] result = {-1};
    queue.read((long) block * BLOCK, BLOCK, buffer.address(), errno -> result[0] = errno);
    assertEquals(0, result[0]);
    assertEquals((long) block * BLOCK, buffer.get(ValueLayout.JAVA_LONG, 0), "wrong data");
    while (cache.maintenance().step(System.nanoTime()) == 0) {
      // until nothing is due
    }
    return backing.reads() == before;
  }

  private double zipfHitRatio(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double sum = 0;
    double[] upTo = new double[BLOCKS];
    for (int rank = 0; rank < BLOCKS; rank++) {
      sum += 1.0 / (rank + 1);
      upTo[rank] = sum;
    }
    int reads = 25_000;
    int hits = 0;
    for (int i = 0; i < reads; i++) {
      int rank = Arrays.binarySearch(upTo, random.nextDouble() * sum);
      int block = (int) ((rank < 0 ? -rank - 1 : rank) * 7919L % BLOCKS);
      hits += read(block) && i >= reads / 2 ? 1 : 0;
    }
    return hits / (reads / 2.0);
  }

  @Test
  void aZipfLoadHitsMoreOftenThanInAFifo() {
    long seed = Seeds.next(getClass());
    double kept = zipfHitRatio(seed);
    reopen(0);
    double fifo = zipfHitRatio(seed);
    System.out.printf("HotDataTest: hit ratio %.3f, as a FIFO %.3f%n", kept, fifo);
    assertTrue(kept > fifo + 0.02, kept + " and as a FIFO " + fifo + ", seed " + seed);
  }

  /**
   * How often what is read all the time misses while a scan of four times the cache goes on, in an
   * order that nobody takes for sequential.
   */
  private int hotMissesDuringAScan() {
    int hot = 300;
    for (int i = 0; i < hot; i++) {
      read(i * 77 % hot); // not one after the other: that would be taken for a stream
    }
    int misses = 0;
    for (int i = 0; i < 9_000; i++) {
      read(hot + (int) (i * 7919L % (BLOCKS - hot)));
      misses += read(i % hot) ? 0 : 1;
    }
    return misses;
  }

  @Test
  void aScanDoesNotPushOutWhatIsReadAllTheTime() {
    int kept = hotMissesDuringAScan();
    reopen(0);
    int fifo = hotMissesDuringAScan();
    assertEquals(0, kept, "of 9,000 reads; in a FIFO " + fifo);
    assertTrue(fifo > 300, "a FIFO misses only " + fifo + " times: this test shows nothing");
  }

  @Test
  void whatWasKeptIsThereAfterReopening() {
    hotMissesDuringAScan();
    queue.close();
    cache.close();
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1)); // checks data_crc
    queue = cache.openQueue();
    for (int block = 0; block < 300; block++) {
      assertTrue(read(block), "block " + block);
    }
  }
}
