package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import jpcache.Seeds;
import jpcache.cache.CutEverywhere.Effort;
import jpcache.cache.CutEverywhere.Scenario;
import jpcache.media.CacheMode;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every writer of metadata, cut off at every event: see {@link CutEverywhere}. {@code ci/soak}
 * looks at more states, {@code -Djpcache.crash.states=N}; {@code -Djpcache.crash.scenario=REGEX}
 * chooses.
 */
class PowerCutTest {
  private static final Effort FAST = new Effort(64, 31, 7, 3);
  private static final CutSetting PLAIN = CutSetting.PLAIN;

  /** Written back when it is old, or when there is need. */
  private static final CutSetting LAZY = PLAIN.withWriteBack(500, 100);

  static List<Scenario> scenarios() {
    String wanted = System.getProperty("jpcache.crash.scenario", ".*");
    return all().stream().filter(scenario -> scenario.name().matches(wanted)).toList();
  }

  private static List<Scenario> all() {
    return List.of(
        new Scenario("a write", PLAIN, c -> {}, c -> c.put(8, 4)),
        new Scenario(
            "a batch over two subtrees and two ksets",
            PLAIN,
            c -> {},
            c -> {
              c.write(0, 8, 4, false);
              c.write(0, Computer.BOUNDARY - 3, 6, false);
              c.write(0, 10, 4, false);
              c.commit(0);
            }),
        new Scenario(
            "two clients that overwrite each other",
            PLAIN,
            c -> c.put(0, 16),
            c -> {
              c.write(0, 4, 4, false);
              c.write(1, 6, 4, false);
              c.commit(1);
              c.commit(0);
              c.put(5, 2);
            }),
        new Scenario(
            "FUA and flush",
            PLAIN.withDurability(Durability.FLUSH),
            c -> c.put(0, 8),
            c -> {
              c.put(1, 2);
              c.write(0, 2, 2, true);
              c.commit(0);
              c.put(3, 2);
              c.flush();
              c.put(4, 2);
              c.step(1700);
            }),
        new Scenario(
            "an orderly stop",
            PLAIN.withDurability(Durability.FLUSH),
            c -> {},
            c -> {
              c.put(1, 2);
              c.put(Computer.BOUNDARY, 2);
              c.stop();
            }),
        new Scenario(
            "the log goes on in another segment",
            PLAIN,
            c -> c.moveEmptyLog(200),
            c -> {
              c.put(0, 2);
              c.put(1, 2);
              c.put(2, 2);
              c.put(3, 2);
            }),
        new Scenario(
            "write-back",
            PLAIN,
            c -> c.put(0, 16),
            c -> {
              c.put(4, 4);
              c.put(Computer.BOUNDARY - 2, 4);
              c.settle();
              c.put(6, 4);
              c.settle();
            }),
        new Scenario(
            "write-back over two segments of the log",
            PLAIN,
            c -> c.moveEmptyLog(150),
            c -> {
              c.put(0, 4);
              c.put(2, 4);
              c.put(4, 4);
              c.settle();
              c.put(6, 4);
              c.settle();
            }),
        new Scenario(
            "collection and recycling",
            PLAIN.withGcPercent(0),
            PowerCutTest::manyLives,
            c -> {
              c.put(0, 4);
              c.put(Computer.BOUNDARY, 4);
              c.settle();
              c.put(2, 4);
              c.stop();
              c.put(1, 2);
              c.settle();
            }),
        new Scenario(
            "collection of a segment of the log",
            PLAIN.withGcPercent(0).withDataCrc(),
            c -> c.moveEmptyLog(150),
            c -> {
              c.put(0, 4);
              c.put(2, 4);
              c.put(4, 4);
              c.settle();
              c.put(6, 4);
              c.settle();
            }),
        new Scenario(
            "a segment that is used again at once",
            PLAIN.withGcPercent(0),
            PowerCutTest::logNearItsSegmentsEnd,
            c -> {
              c.put(0, 4);
              c.put(2, 4); // the log leaves its segment
              c.settle(); // which is free then
              c.write(1, 8, 4, false); // and taken for data
              c.commit(1);
              c.put(4, 2);
            }),
        new Scenario(
            "gc percent",
            PLAIN,
            c -> c.put(0, 4),
            c -> {
              c.setGcPercent(30);
              c.put(2, 4);
              c.setGcPercent(40);
              c.setGcPercent(50);
            }),
        new Scenario(
            "misses that are cached",
            PLAIN,
            c -> {},
            c -> {
              c.read(0, 8);
              c.put(4, 2);
              c.read(0, 16);
              c.put(20, 2);
              c.settle();
            }),
        new Scenario(
            "a device that fails",
            PLAIN,
            c -> c.put(0, 16),
            c -> {
              c.put(4, 4);
              c.backing.fail(1000);
              c.step(20_000);
              c.backing.fail(0);
              c.put(6, 4);
              c.step(20_000);
              c.put(8, 4);
              c.settle();
            }),
        new Scenario(
            "a batch that failed, and less to write back",
            LAZY,
            c -> {},
            c -> {
              c.put(8, 4);
              c.step(0);
              c.put(0, 4); // is written first, and in part
              c.setGcPercent(0); // all of it has to go
              c.backing.fail(1000);
              c.step(0);
              c.backing.fail(0);
              c.setGcPercent(90); // only what is old has to
              c.step(20_000);
            }),
        new Scenario(
            "a fill that a write overtakes",
            PLAIN,
            c -> {},
            c -> {
              c.holdReads();
              c.read(0, 16);
              c.put(4, 2);
              c.releaseReads();
              c.put(20, 2);
            }),
        new Scenario(
            "write-through",
            PLAIN.withMode(CacheMode.WRITE_THROUGH),
            c -> {},
            c -> {
              c.put(0, 8);
              c.put(4, 2);
              c.settle();
              c.put(6, 4);
            }),
        new Scenario(
            "write-around",
            PLAIN.withMode(CacheMode.WRITE_AROUND),
            c -> {},
            c -> {
              c.put(0, 8);
              c.read(0, 12);
              c.put(4, 2);
              c.flush();
              c.settle();
              c.put(6, 4);
            }),
        new Scenario(
            "changes of the mode",
            PLAIN.withDirectWrites(),
            c -> c.put(0, 4),
            c -> {
              c.setMode(CacheMode.WRITE_THROUGH);
              c.put(2, 4);
              c.settle();
              c.setMode(CacheMode.WRITE_ONLY);
              c.put(3, 4);
              c.setMode(CacheMode.WRITE_BACK);
              c.put(4, 4);
              c.settle();
            }),
        new Scenario(
            "rescue",
            PLAIN,
            PowerCutTest::muchDirtyData,
            c -> {
              new Inspection(c).rescue();
              c.put(1, 2);
            }),
        new Scenario(
            "repair",
            PLAIN,
            PowerCutTest::tornMedia,
            c -> {
              new Inspection(c).repair();
              c.put(1, 2);
            }));
  }

  private static void manyLives(Computer c) {
    for (int life = 0; life < 3; life++) {
      c.put(life, 4);
      c.settle();
      c.stop();
    }
    c.put(40, 4);
    c.stop();
  }

  /** The log's segment is the first that is taken when those before it are used. */
  private static void logNearItsSegmentsEnd(Computer c) {
    c.moveEmptyLog(100);
    c.put(0, 2);
    c.put(2, 2);
    c.settle();
    c.stop();
    c.moveEmptyLog(100);
  }

  private static void muchDirtyData(Computer c) {
    c.put(0, 32);
    c.settle();
    for (int i = 0; i < 8; i++) {
      c.put(3 * i, 5);
      c.put(Computer.BOUNDARY - 8 + 2 * i, 3);
    }
  }

  /** Torn updates of everything that has two replicas. */
  private static void tornMedia(Computer c) {
    c.put(0, 4);
    c.settle();
    c.put(2, 4);
    c.setGcPercent(20);
    c.stop();
    Torn.everything(c.pmem, c.media());
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
      assertTrue(counts.points > 3, () -> "cut points: " + counts);
    }
  }
}
