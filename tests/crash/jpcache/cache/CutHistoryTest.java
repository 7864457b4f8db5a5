package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import jpcache.Seeds;
import jpcache.cache.CutHistory.Deed;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Many histories with power cuts, each by a seed that a failure prints, with the shortest part that
 * still fails. {@code -Djpcache.crash.history=N} repeats one; {@code -Djpcache.crash.minutes=N}
 * goes on for so long.
 */
class CutHistoryTest {
  private static final int DEEDS = 300;
  private static final long FAST_SECONDS = 8;

  @Test
  @Timeout(86_400)
  void nothingThatWasPromisedIsLostInALongLife() {
    Long repeated = Long.getLong("jpcache.crash.history");
    long seed = repeated != null ? repeated : Seeds.next(getClass());
    long minutes = Long.getLong("jpcache.crash.minutes", 0);
    long seconds = minutes > 0 ? TimeUnit.MINUTES.toSeconds(minutes) : FAST_SECONDS;
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    SplittableRandom seeds = new SplittableRandom(seed);
    long histories = 0;
    long cuts = 0;
    long kills = 0;
    try (Computer computer = new Computer(seed)) {
      do {
        CutHistory history = live(computer, repeated != null ? repeated : seeds.nextLong());
        histories++;
        cuts += history.cuts();
        kills += history.kills();
      } while (repeated == null && System.nanoTime() < end);
    }
    System.out.printf(
        "CutHistoryTest: %d histories of %d deeds, %d power cuts, %d kills%n",
        histories, DEEDS, cuts, kills);
    assertTrue(cuts > 2 * histories, "power cuts: " + cuts);
  }

  private static CutHistory live(Computer computer, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    CutSetting setting = CutHistory.randomSetting(random);
    List<Deed> deeds = CutHistory.randomDeeds(random, setting, DEEDS);
    CutHistory history = new CutHistory(computer, setting, deeds);
    try {
      history.run();
      return history;
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError(describe(computer, seed, setting, deeds), e);
    }
  }

  private static String describe(
      Computer computer, long seed, CutSetting setting, List<Deed> deeds) {
    List<Deed> shortest = CutHistory.shortest(computer, setting, deeds);
    StringBuilder text =
        new StringBuilder("repeat with -Djpcache.crash.history=" + seed + "; " + setting);
    for (int i = 0; i < shortest.size(); i++) {
      text.append(System.lineSeparator()).append(i).append(": ").append(shortest.get(i));
    }
    AssertionError failure =
        assertThrows(AssertionError.class, () -> new CutHistory(computer, setting, shortest).run());
    return text.append(System.lineSeparator()).append(failure.getMessage()).toString();
  }
}
