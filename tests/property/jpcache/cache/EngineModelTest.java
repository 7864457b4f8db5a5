package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jpcache.Seeds;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Histories of the whole engine against a model of the device: see {@link EngineHistory}. {@code
 * ci/soak} runs many more of them: {@code -Djpcache.model.operations=N}.
 */
class EngineModelTest {
  private static final int OPERATIONS_PER_HISTORY = 10_000;
  private static final long OPERATIONS_PER_LINE = 1_000_000;
  private static final int THREADS = Integer.getInteger("jpcache.model.threads", 1);

  private final EngineHistory.Counts counts = new EngineHistory.Counts();
  private long started;

  @Test
  @Timeout(86_400)
  void theCacheBehavesLikeOneArrayOfBytesWhateverHappensBelowIt() throws Exception {
    long operations = Long.getLong("jpcache.model.operations", 200_000);
    Long history = Long.getLong("jpcache.model.history");
    if (history != null) {
      try (MemoryRegion region = new MemoryRegion(512L << 20)) {
        run(history, region);
      }
      return;
    }
    SplittableRandom seeds = new SplittableRandom(Seeds.next(getClass()));
    try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
      List<Future<?>> results = new ArrayList<>();
      for (int i = 0; i < THREADS; i++) {
        results.add(threads.submit(() -> runMany(seeds, operations)));
      }
      for (Future<?> result : results) {
        var _ = result.get();
      }
    }
    System.out.println("EngineModelTest: " + counts);
  }

  private void runMany(SplittableRandom seeds, long operations) {
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      while (true) {
        long seed;
        synchronized (this) {
          if (started >= operations) {
            return;
          }
          if (started > 0 && started % OPERATIONS_PER_LINE == 0) {
            System.out.println("EngineModelTest: " + started + " operations: " + counts);
          }
          started += OPERATIONS_PER_HISTORY;
          seed = seeds.nextLong();
        }
        run(seed, region);
      }
    }
  }

  private void run(long seed, MemoryRegion region) {
    try (EngineHistory history = new EngineHistory(seed, region)) {
      history.run(OPERATIONS_PER_HISTORY);
      synchronized (this) {
        counts.add(history.counts());
      }
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError("repeat with -Djpcache.model.history=" + seed, e);
    }
  }
}
