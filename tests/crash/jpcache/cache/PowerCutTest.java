package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import jpcache.Seeds;
import jpcache.cache.CutEverywhere.Effort;
import jpcache.cache.CutEverywhere.Scenario;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every writer of metadata ({@link Scenarios}), cut off at every event: see {@link CutEverywhere}.
 * {@code ci/soak} looks at more states, {@code -Djpcache.crash.states=N}; {@code
 * -Djpcache.crash.scenario=REGEX} chooses.
 */
class PowerCutTest {
  private static final Effort FAST = new Effort(64, 31, 7, 3);

  private static final CutEverywhere.Counts ALL = new CutEverywhere.Counts();

  @AfterAll
  static void report() {
    System.out.println("PowerCutTest: in all: " + ALL);
  }

  static List<Scenario> scenarios() {
    String wanted = System.getProperty("jpcache.crash.scenario", ".*");
    return Scenarios.all().stream().filter(scenario -> scenario.name().matches(wanted)).toList();
  }

  @ParameterizedTest
  @MethodSource("scenarios")
  @Timeout(86_400)
  void whereverThePowerIsCutNothingThatWasPromisedIsLost(Scenario scenario) {
    long seed = Seeds.next(getClass());
    int states = Integer.getInteger("jpcache.crash.states", 0);
    Effort effort = states == 0 ? FAST : new Effort(states, 7, 1, Math.max(4, states / 16));
    try (Computer computer = new Computer(seed)) {
      CutEverywhere.Counts counts = new CutEverywhere(computer, effort, seed).explore(scenario);
      System.out.println("PowerCutTest: " + scenario + ": " + counts);
      ALL.add(counts);
      assertTrue(counts.points > 3, () -> "cut points: " + counts);
    }
  }
}
