package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.IntStream;
import jpcache.Seeds;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Histories of the whole engine, in all modes, against a model of the device: see {@link
 * EngineHistory}. {@code ci/soak} runs many more of them: {@code -Djpcache.model.operations=N}.
 * {@code -Djpcache.model.history=N} repeats one.
 */
class EngineModelTest {
  private static final int OPERATIONS_PER_HISTORY = 10_000;
  private static final long OPERATIONS_PER_LINE = 1_000_000;
  private static final long CACHE_BYTES = 512L << 20;

  private final HistoryCounts counts = new HistoryCounts();
  private final SplittableRandom seeds = new SplittableRandom(Seeds.next(getClass()));
  private final long operations = Long.getLong("jpcache.model.operations", 200_000);
  private long started;

  /** Ends when something fails on a thread that a history may wait for in vain. */
  private final CompletableFuture<Void> broken = new CompletableFuture<>();

  @Test
  @Timeout(86_400)
  void theCacheBehavesLikeOneArrayOfBytesWhateverHappensBelowIt() throws Exception {
    Long history = Long.getLong("jpcache.model.history");
    int threads = history != null ? 1 : Integer.getInteger("jpcache.model.threads", 1);
    CompletableFuture<?>[] ends =
        IntStream.range(0, threads)
            .mapToObj(i -> inBackground(history != null ? r -> run(history, r) : this::runMany))
            .toArray(CompletableFuture[]::new);
    CompletableFuture<Void> all = CompletableFuture.allOf(ends);
    try {
      var _ = CompletableFuture.anyOf(all, broken).get();
    } catch (ExecutionException e) {
      throw new AssertionError(String.valueOf(e.getMessage()), e.getCause());
    }
    System.out.println("EngineModelTest: " + counts);
    if (history == null) {
      assertTrue(counts.sawMuch(), () -> "hardly anything happened: " + counts);
    }
  }

  private interface Work {
    void on(MemoryRegion region);
  }

  private CompletableFuture<Void> inBackground(Work work) {
    CompletableFuture<Void> end = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .name("histories")
        .start(() -> {
          try (MemoryRegion region = new MemoryRegion(CACHE_BYTES)) {
            work.on(region);
            end.complete(null);
          } catch (Throwable e) { // whatever it is: it is thrown again by the test's thread
            end.completeExceptionally(e);
            broken.completeExceptionally(e);
          }
        });
    return end;
  }

  private void runMany(MemoryRegion region) {
    for (Long seed = nextSeed(); seed != null; seed = nextSeed()) {
      run(seed, region);
    }
  }

  private synchronized @Nullable Long nextSeed() {
    if (started >= operations) {
      return null;
    }
    if (started > 0 && started % OPERATIONS_PER_LINE == 0) {
      System.out.println("EngineModelTest: " + started + " operations: " + counts);
    }
    started += OPERATIONS_PER_HISTORY;
    return seeds.nextLong();
  }

  private void run(long seed, MemoryRegion region) {
    try (EngineHistory history = new EngineHistory(seed, region, broken)) {
      history.run(OPERATIONS_PER_HISTORY);
      counts.add(history.counts());
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError("repeat with -Djpcache.model.history=" + seed, e);
    }
  }
}
