package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import jpcache.backing.PatternBacking;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** In the long run the hot paths make no garbage, by the JVM's count of what a thread allocates. */
class AllocationTest {
  private static final int BLOCK = 4096;
  private static final int BLOCKS = 4096;
  private static final int BATCH = 32;

  private static final int OPERATIONS = 4_000;
  private static final int MAX_ROUNDS = 100;

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment buffer = arena.allocate(BATCH * BLOCK);
  private final int[] failures = {0};
  private final Completion done = errno -> failures[0] += errno;

  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  @AfterEach
  void free() {
    arena.close();
  }

  private void write(BlockQueue queue) {
    for (int i = 0; i < OPERATIONS; i++) {
      long offset = i * 7919L % BLOCKS * BLOCK;
      queue.write(offset, BLOCK, buffer.address() + (long) (i % BATCH) * BLOCK, false, done);
      if (i % BATCH == BATCH - 1) {
        queue.commit();
      }
    }
    queue.commit();
  }

  private void read(BlockQueue queue) {
    for (int i = 0; i < OPERATIONS; i++) {
      queue.read(i * 7919L % BLOCKS * BLOCK, BLOCK, buffer.address(), done);
    }
  }

  /**
   * Bytes for an operation, in the best of some rounds: code makes objects before it is compiled
   * that it later does without. Less than one is something that grew.
   *
   * @param cache where room is made before each round, uncounted
   */
  private static double allocated(Cache cache, Runnable operations) {
    double least = Double.MAX_VALUE;
    for (int round = 0; round < MAX_ROUNDS && least >= 1; round++) {
      while (cache.maintenance().step(System.nanoTime()) == 0) {
        // until nothing is due
      }
      long before = THREADS.getCurrentThreadAllocatedBytes();
      operations.run();
      long bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
      least = Math.min(least, (double) bytes / OPERATIONS);
    }
    return least;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void writesCommitsAndReadHitsMakeNoGarbage(boolean dataCrc) {
    String file = directory.resolve("cache").toString();
    try (PmemRegion region = PmemFiles.create(file, 512L << 20, null)) {
      MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, 70);
      check(region);
    }
  }

  private void check(PmemRegion region) {
    Cache cache =
        Cache.open(
            region,
            new PatternBacking((long) BLOCKS * BLOCK),
            CacheOptions.defaults().withLanes(2).withWriteBack(0, 0));
    try (BlockQueue queue = cache.openQueue()) {
      double written = allocated(cache, () -> write(queue));
      double read = allocated(cache, () -> read(queue));
      assertEquals(0, failures[0]);
      assertTrue(written < 1, written + " bytes of garbage for a write");
      assertTrue(read < 1, read + " bytes of garbage for a read");
    }
  }
}
