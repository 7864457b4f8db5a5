package jpcache.cache;

import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import jpcache.cache.CutEverywhere.Scenario;
import jpcache.media.CacheMode;

/** What {@link PowerCutTest} cuts off: every writer of metadata has its turn. */
final class Scenarios {
  private static final CutSetting PLAIN = CutSetting.PLAIN;

  /** All that has been written back is collected at once. */
  private static final CutSetting COLLECTS = PLAIN.withGcPercent(0);

  /** Written back when it is old, or when there is need. */
  private static final CutSetting LAZY = PLAIN.withWriteBack(500, 100);

  private Scenarios() {}

  static List<Scenario> all() {
    return Stream.of(writes(), segments(), writeBack(), reads(), settings(), tools())
        .flatMap(List::stream)
        .toList();
  }

  /** A scenario that is being put together; nothing comes before it unless it is said. */
  private record Draft(String name, CutSetting setting, Consumer<Computer> before) {
    Draft with(CutSetting chosen) {
      return new Draft(name, chosen, before);
    }

    Draft after(Consumer<Computer> deeds) {
      return new Draft(name, setting, deeds);
    }

    /** What is cut. */
    Scenario during(Consumer<Computer> deeds) {
      return new Scenario(name, setting, before, deeds);
    }
  }

  private static Draft cut(String name) {
    return new Draft(name, PLAIN, c -> {});
  }

  /** Keys enter open ksets, and ksets are closed. */
  private static List<Scenario> writes() {
    return List.of(
        cut("a write").during(c -> c.put(8, 4)),
        cut("a batch over two subtrees and two ksets")
            .during(c -> {
              c.write(0, 8, 4, false);
              c.write(0, Computer.BOUNDARY - 3, 6, false);
              c.write(0, 10, 4, false);
              c.commit(0);
            }),
        cut("two clients that overwrite each other")
            .after(c -> c.put(0, 16))
            .during(c -> {
              c.write(0, 4, 4, false);
              c.write(1, 6, 4, false);
              c.commit(1);
              c.commit(0);
              c.put(5, 2);
            }),
        cut("FUA and flush")
            .with(PLAIN.withDurability(Durability.FLUSH))
            .after(c -> c.put(0, 8))
            .during(c -> {
              c.put(1, 2);
              c.write(0, 2, 2, true);
              c.commit(0);
              c.put(3, 2);
              c.flush();
              c.put(4, 2);
              c.step(1700);
            }),
        cut("discard and write-zeroes")
            .after(c -> c.put(0, 16))
            .during(c -> {
              c.put(2, 4);
              c.zero(0, 4, 4, true, false);
              c.commit(0);
              c.put(6, 2);
              c.zero(1, 0, 3, false, false);
              c.commit(1);
              c.settle();
              c.put(1, 2);
            }),
        cut("an orderly stop")
            .with(PLAIN.withDurability(Durability.FLUSH))
            .during(c -> {
              c.put(1, 2);
              c.put(Computer.BOUNDARY, 2);
              c.stop();
            }));
  }

  /** The log changes its segment, segments get their next generation and are used again. */
  private static List<Scenario> segments() {
    return List.of(
        cut("the log goes on in another segment")
            .after(c -> c.moveEmptyLog(200))
            .during(c -> {
              c.put(0, 2);
              c.put(1, 2);
              c.put(2, 2);
              c.put(3, 2);
            }),
        cut("collection and recycling")
            .with(COLLECTS)
            .after(Scenarios::manyLives)
            .during(c -> {
              c.put(0, 4);
              c.put(Computer.BOUNDARY, 4);
              c.settle();
              c.put(2, 4);
              c.stop();
              c.put(1, 2);
              c.settle();
            }),
        cut("collection of a segment of the log")
            .with(COLLECTS.withDataCrc())
            .after(c -> c.moveEmptyLog(150))
            .during(Scenarios::settleOverTwoSegments),
        cut("a segment that is used again at once")
            .with(COLLECTS)
            .after(Scenarios::logNearItsSegmentsEnd)
            .during(c -> {
              c.put(0, 4);
              c.put(2, 4); // the log leaves its segment
              c.settle(); // which is free then
              c.write(1, 8, 4, false); // and taken for data
              c.commit(1);
              c.put(4, 2);
            }));
  }

  /** The tails move. */
  private static List<Scenario> writeBack() {
    return List.of(
        cut("write-back")
            .after(c -> c.put(0, 16))
            .during(c -> {
              c.put(4, 4);
              c.put(Computer.BOUNDARY - 2, 4);
              c.settle();
              c.put(6, 4);
              c.settle();
            }),
        cut("write-back over two segments of the log")
            .after(c -> c.moveEmptyLog(150))
            .during(Scenarios::settleOverTwoSegments),
        cut("a device that fails")
            .after(c -> c.put(0, 16))
            .during(c -> {
              c.put(4, 4);
              c.backing.fail(1000);
              c.step(20_000);
              c.backing.fail(0);
              c.put(6, 4);
              c.step(20_000);
              c.put(8, 4);
              c.settle();
            }),
        cut("a batch that failed, and less to write back")
            .with(LAZY)
            .during(c -> {
              c.put(8, 4);
              c.step(0);
              c.put(0, 4); // is written first, and in part
              c.setGcPercent(0); // all of it has to go
              c.backing.fail(1000);
              c.step(0);
              c.backing.fail(0);
              c.setGcPercent(90); // only what is old has to
              c.step(20_000);
            }));
  }

  /** What misses bring enters as clean keys. */
  private static List<Scenario> reads() {
    return List.of(
        cut("misses that are cached")
            .during(c -> {
              c.read(0, 8);
              c.put(4, 2);
              c.read(0, 16);
              c.put(20, 2);
              c.settle();
            }),
        cut("a fill that a write overtakes")
            .during(c -> {
              c.holdReads();
              c.read(0, 16);
              c.put(4, 2);
              c.releaseReads();
              c.put(20, 2);
            }));
  }

  /** Cache info changes; other modes write their keys. */
  private static List<Scenario> settings() {
    return List.of(
        cut("gc percent")
            .after(c -> c.put(0, 4))
            .during(c -> {
              c.setGcPercent(30);
              c.put(2, 4);
              c.setGcPercent(40);
              c.setGcPercent(50);
            }),
        cut("write-through")
            .with(PLAIN.withMode(CacheMode.WRITE_THROUGH))
            .during(c -> {
              c.put(0, 8);
              c.put(4, 2);
              c.settle();
              c.put(6, 4);
            }),
        cut("write-around")
            .with(PLAIN.withMode(CacheMode.WRITE_AROUND))
            .during(c -> {
              c.put(0, 8);
              c.read(0, 12);
              c.put(4, 2);
              c.flush();
              c.settle();
              c.put(6, 4);
            }),
        cut("changes of the mode")
            .with(PLAIN.withDirectWrites())
            .after(c -> c.put(0, 4))
            .during(c -> {
              c.setMode(CacheMode.WRITE_THROUGH);
              c.put(2, 4);
              c.settle();
              c.setMode(CacheMode.WRITE_ONLY);
              c.put(3, 4);
              c.setMode(CacheMode.WRITE_BACK);
              c.put(4, 4);
              c.settle();
            }));
  }

  /** Other writers than the engine. */
  private static List<Scenario> tools() {
    return List.of(
        cut("rescue")
            .after(Scenarios::muchDirtyData)
            .during(c -> {
              new Inspection(c).rescue();
              c.put(1, 2);
            }),
        cut("repair")
            .after(Scenarios::tornMedia)
            .during(c -> {
              new Inspection(c).repair();
              c.put(1, 2);
            }));
  }

  /** The log, near its segment's end, goes on in another in the middle. */
  private static void settleOverTwoSegments(Computer c) {
    c.put(0, 4);
    c.put(2, 4);
    c.put(4, 4);
    c.settle();
    c.put(6, 4);
    c.settle();
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
}
