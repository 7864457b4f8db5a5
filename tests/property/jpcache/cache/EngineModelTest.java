package jpcache.cache;

import java.util.SplittableRandom;
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

  @Test
  @Timeout(86_400)
  void theCacheBehavesLikeOneArrayOfBytesWhateverHappensBelowIt() {
    long operations = Long.getLong("jpcache.model.operations", 200_000);
    Long history = Long.getLong("jpcache.model.history");
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      if (history != null) {
        run(history, region, new HistoryCounts());
        return;
      }
      SplittableRandom seeds = new SplittableRandom(Seeds.next(getClass()));
      HistoryCounts counts = new HistoryCounts();
      for (long done = 0; done < operations; done += OPERATIONS_PER_HISTORY) {
        run(seeds.nextLong(), region, counts);
      }
      System.out.println("EngineModelTest: " + counts);
    }
  }

  private static void run(long seed, MemoryRegion region, HistoryCounts counts) {
    try (EngineHistory history = new EngineHistory(seed, region)) {
      history.run(OPERATIONS_PER_HISTORY);
      counts.add(history.counts());
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError("repeat with -Djpcache.model.history=" + seed, e);
    }
  }
}
