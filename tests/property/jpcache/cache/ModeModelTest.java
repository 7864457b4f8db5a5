package jpcache.cache;

import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Histories of the engine in all modes against a model of the device: see {@link ModeHistory}.
 * {@code ci/soak} runs many more of them: {@code -Djpcache.model.operations=N}.
 */
class ModeModelTest {
  private static final int OPERATIONS_PER_HISTORY = 10_000;

  @Test
  @Timeout(3_600)
  void theCacheBehavesLikeOneArrayOfBytesWhateverHappensBelowIt() {
    long operations = Long.getLong("jpcache.model.operations", 20_000);
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
      System.out.println("ModeModelTest: " + counts);
    }
  }

  private static void run(long seed, MemoryRegion region, HistoryCounts counts) {
    try (ModeHistory history = new ModeHistory(seed, region)) {
      history.run(OPERATIONS_PER_HISTORY);
      counts.add(history.counts());
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError("repeat with -Djpcache.model.history=" + seed, e);
    }
  }
}
