package jpcache.cache;

import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import jpcache.cache.Computer.AfterCut;
import jpcache.cache.Computer.Off;
import jpcache.pmem.Remains;

/**
 * Cuts the power at the first event of a scenario, then at the second, and so on until the scenario
 * comes to its end; looks at every state that each cut may leave, and recovers from some of them:
 * by going on, by fsck --repair, by rescue, each cut off at every event in turn.
 *
 * <p>At every event the process is killed, too, while the power lasts; and what it has stored but
 * not drained is lost at a cut during or after the next process's work.
 */
final class CutEverywhere {
  /**
   * What happens.
   *
   * @param before is not cut; the engine is off when it ends, or is dropped
   * @param during is cut at each event; begins with an engine that does not run
   */
  record Scenario(
      String name, CutSetting setting, Consumer<Computer> before, Consumer<Computer> during) {
    @Override
    public String toString() {
      return name;
    }
  }

  /**
   * How thorough to be.
   *
   * @param states at one cut; where there are no more, all are looked at
   * @param recoveryEvery of so many states one is recovered from, beside the two extremes
   * @param nestedEvery at one of so many cut points recovery is cut off in turn
   * @param nestedStates at each cut of a recovery
   */
  record Effort(int states, int recoveryEvery, int nestedEvery, int nestedStates) {}

  /** What was tried. */
  static final class Counts {
    long points;
    long states;
    long complete;
    long recoveries;
    long recoveryPoints;
    long recoveryStates;

    void add(Counts more) {
      points += more.points;
      states += more.states;
      complete += more.complete;
      recoveries += more.recoveries;
      recoveryPoints += more.recoveryPoints;
      recoveryStates += more.recoveryStates;
    }

    @Override
    public String toString() {
      return String.format(
          "%d cut points, %d states (at %d points all there are); %d recoveries, in which %d cut"
              + " points, %d states",
          points, states, complete, recoveries, recoveryPoints, recoveryStates);
    }
  }

  private static final int DEVICE_STATES = 4;

  private final Computer computer;
  private final Inspection inspection;
  private final Effort effort;
  private final SplittableRandom random;
  private final List<Consumer<Computer>> recoveries;
  private Counts counts = new Counts();

  CutEverywhere(Computer computer, Effort effort, long seed) {
    this.computer = computer;
    this.effort = effort;
    random = new SplittableRandom(seed);
    inspection = new Inspection(computer);
    recoveries = List.of(CutEverywhere::goOn, c -> inspection.repair(), c -> inspection.rescue());
  }

  /** What a computer does that has come up again: write, write back, collect. */
  private static void goOn(Computer computer) {
    computer.put(3, 2);
    computer.write(1, Computer.BOUNDARY - 2, 4, false);
    computer.commit(1);
    computer.settle();
    computer.stop();
  }

  Counts explore(Scenario scenario) {
    counts = new Counts();
    computer.format(scenario.setting);
    scenario.before.accept(computer);
    computer.dropEngine();
    look(scenario.name + ", before it");
    Off start = computer.save();
    long seen = -1;
    for (long point = 0; ; point++) {
      String where = scenario.name + ", cut before event " + point;
      computer.load(start);
      computer.power.cutAfter(point);
      long before = computer.changes();
      if (!isCut(scenario.during, where)) {
        computer.dropEngine();
        look(scenario.name + ", not cut");
        return counts;
      }
      counts.points++;
      if (computer.changes() - before == seen) {
        continue; // the last event has changed nothing that counts
      }
      seen = computer.changes() - before;
      AfterCut after = computer.afterCut();
      boolean nested = point % effort.nestedEvery == counts.recoveries % effort.nestedEvery;
      states(after, where, nested);
      killed(start, scenario, point, nested);
    }
  }

  /** All states of a cut, or many. */
  private void states(AfterCut after, String where, boolean nested) {
    List<Remains.State> states = after.pmem().states(effort.states, random);
    counts.complete += states.size() < effort.states ? 1 : 0;
    int tries = Math.max(states.size(), after.backing().writes() > 0 ? DEVICE_STATES : 1);
    for (int i = 0; i < tries; i++) {
      Remains.State state = states.get(i % states.size());
      long seed = random.nextLong();
      String which = where + ": " + state + ", device by seed " + seed;
      computer.leave(after, state, new SplittableRandom(seed));
      look(which);
      counts.states++;
      if (i < 2 || i % effort.recoveryEvery == 0) {
        recover(computer.save(), which, nested && i < 2);
      }
    }
  }

  /**
   * The process dies at the same event, while the power lasts. What opens the cache next, an engine
   * or a rescue, finds what it has stored; the power may go then.
   */
  private void killed(Off start, Scenario scenario, long point, boolean nested) {
    String where = scenario.name + ", killed before event " + point;
    computer.load(start);
    computer.power.cutAfter(point);
    isCut(scenario.during, where);
    AfterCut untouched = computer.afterCut();
    computer.leaveRunning(untouched);
    look(where);
    AfterCut killed = computer.afterCut(); // with what has been found
    if (nested) {
      cutOffEverywhere(() -> computer.leaveRunning(killed), CutEverywhere::goOn, where);
      cutOffEverywhere(
          () -> computer.leaveRunning(untouched), c -> inspection.rescue(), where + ", rescued");
    }
  }

  /** Comes back to life in one of three ways; each is cut off at every event, if wanted. */
  private void recover(Off off, String where, boolean nested) {
    int way = (int) (counts.recoveries++ % recoveries.size());
    Consumer<Computer> recovery = recoveries.get(way);
    String which = where + ", recovery " + way;
    if (nested) {
      cutOffEverywhere(() -> computer.load(off), recovery, which);
      return;
    }
    computer.load(off);
    run(recovery, which);
  }

  private void cutOffEverywhere(Runnable load, Consumer<Computer> recovery, String where) {
    long seen = -1;
    for (int point = 0; ; point++) {
      load.run();
      computer.power.cutAfter(point);
      long before = computer.changes();
      String which = where + ", cut before its event " + point;
      if (!isCut(recovery, which)) {
        computer.dropEngine();
        look(where);
        return;
      }
      counts.recoveryPoints++;
      if (computer.changes() - before != seen) {
        seen = computer.changes() - before;
        lookAtSome(which);
      }
    }
  }

  private void lookAtSome(String which) {
    AfterCut after = computer.afterCut();
    List<Remains.State> states = after.pmem().states(effort.nestedStates, random);
    for (int i = 0; i < Math.min(states.size(), effort.nestedStates); i++) {
      long seed = random.nextLong();
      computer.leave(after, states.get(i), new SplittableRandom(seed));
      look(which + ": " + states.get(i) + ", device by seed " + seed);
      counts.recoveryStates++;
    }
  }

  private void run(Consumer<Computer> recovery, String where) {
    isCut(recovery, where);
    computer.dropEngine();
    look(where);
  }

  private boolean isCut(Consumer<Computer> deed, String where) {
    try {
      return computer.isCut(() -> deed.accept(computer));
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError(where + ": " + e.getMessage(), e);
    }
  }

  private void look(String where) {
    computer.power.stay();
    try {
      inspection.all();
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError(where + ": " + e.getMessage(), e);
    }
  }
}
