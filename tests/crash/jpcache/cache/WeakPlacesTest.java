package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import jpcache.Seeds;
import jpcache.cache.CutEverywhere.Effort;
import jpcache.cache.CutEverywhere.Scenario;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.LogReplay;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * What docs/media-format.md counts as the kernel's weak places, one test for each that a power cut
 * finds. {@code ci/mutants} takes each protection out and expects the test to fail.
 */
class WeakPlacesTest {
  private static final Effort EFFORT = new Effort(300, 100, 1000, 1);

  private static final CutEverywhere.Counts ALL = new CutEverywhere.Counts();

  private final long seed = Seeds.next(getClass());
  private final Computer computer = new Computer(seed);

  @AfterAll
  static void report() {
    System.out.println("WeakPlacesTest: in all: " + ALL);
  }

  @AfterEach
  void close() {
    computer.close();
  }

  private void cutEverywhere(
      CutSetting setting, Consumer<Computer> before, Consumer<Computer> during) {
    CutEverywhere.Counts counts =
        new CutEverywhere(computer, EFFORT, seed)
            .explore(new Scenario("a weak place", setting, before, during));
    System.out.println("WeakPlacesTest: " + counts);
    ALL.add(counts);
    assertTrue(counts.points > 3, () -> "cut points: " + counts);
  }

  /**
   * 1, terminator before kset. Behind the place where the next kset goes lies a whole old one, as
   * in a segment that held ksets before, with data that is no longer the newest.
   */
  @Test
  void noOldKsetFollowsTheNewestOne() {
    cutEverywhere(
        CutSetting.PLAIN.withGcPercent(0),
        c -> {
          c.put(0, 2);
          c.put(2, 2);
          c.put(2, 2);
          c.settle();
          c.stop();
          beginLogAgain(c);
        },
        c -> c.put(8, 2));
  }

  /** The same at the start of the segment that the log goes on in. */
  @Test
  void noOldKsetBeginsTheNextSegment() {
    cutEverywhere(
        CutSetting.PLAIN.withGcPercent(0),
        c -> {
          c.put(2, 2);
          CacheMedia media = c.media();
          c.put(2, 2);
          c.settle();
          c.stop();
          c.moveEmptyLog(100);
          repeatKset(c, media.keyTail());
        },
        c -> {
          c.put(8, 2);
          c.put(10, 2);
        });
  }

  /** Every segment but the log's and that of the data has the kset at its start, too. */
  private static void repeatKset(Computer c, Position kset) {
    CacheMedia media = c.media();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(Kset.sizeBytes(1));
      long from = media.segments().dataOffset(kset.cacheSegment()) + kset.offsetBytes();
      bytes.copyFrom(c.pmem.view().asSlice(from, bytes.byteSize()));
      for (int segment = 2; segment < media.segments().count(); segment++) {
        c.pmem.persist(media.segments().dataOffset(segment), bytes.address(), bytes.byteSize());
      }
    }
  }

  /** The log is empty and begins where it began once, behind the 24 bytes of zeros that must be. */
  private static void beginLogAgain(Computer c) {
    CacheMedia media = c.media();
    assertEquals(media.keyTail(), c.head(), "the log is empty");
    Position start = new Position(media.keyTail().cacheSegment(), 0);
    MetadataWriter metadata = new MetadataWriter(c.pmem, media.segments());
    metadata.endLog(start);
    // The third kset would repair what the second one brings back.
    metadata.endLog(new Position(start.cacheSegment(), 2 * Kset.sizeBytes(1)));
    metadata.keyTail(start);
    metadata.dirtyTail(start);
    c.logHasBeenMoved();
  }

  /** 2, tail replicas: the first updates after a load, each torn in every way. */
  @Test
  void aTornUpdateOfATailLeavesTheOneBeforeIt() {
    cutEverywhere(
        CutSetting.PLAIN.withGcPercent(0),
        c -> {
          for (int life = 0; life < 3; life++) { // so that both replicas of each have been written
            c.put(life, 2);
            c.settle();
            c.stop();
          }
        },
        c -> {
          c.put(8, 2);
          c.settle();
        });
  }

  /** 3, data before key, where one fence serves a batch. */
  @Test
  void noKeyIsDurableBeforeItsData() {
    cutEverywhere(
        CutSetting.PLAIN,
        c -> c.put(0, 16),
        c -> {
          c.put(20, 1); // the first one drains when it zeroes the log ahead
          c.write(0, 4, 1, false);
          c.write(0, 6, 1, false);
          c.commit(0);
        });
  }

  /**
   * 4, generation before crc. A segment has been used again, and then the updates of the tails were
   * lost: the log's old keys name data that is not there any more, with checksums that do not fit.
   */
  @Test
  void aStaleKeyIsSkippedWhateverItsChecksumSays() {
    computer.format(CutSetting.PLAIN.withDataCrc().withGcPercent(0));
    computer.put(0, 4);
    Position oldTail = computer.media().keyTail();
    computer.settle();
    int used = computer.cache().segments().usedCount();
    computer.stop();
    CacheMedia media = computer.media();
    MetadataWriter metadata = new MetadataWriter(computer.pmem, media.segments());
    int dataSegment = 1;
    assertTrue(used > dataSegment, "used segments: " + used);
    metadata.generation(dataSegment, media.segments().generation(dataSegment) + 1);
    computer.put(8, 4); // over the data of the first
    computer.stop();
    metadata.dirtyTail(oldTail);
    metadata.keyTail(oldTail);
    computer.start();
    computer.read(0, 16);
    computer.dropEngine();
    LogReplay.Summary log =
        LogReplay.run(computer.media(), computer.backing.sizeBytes(), (kset, key) -> {});
    assertEquals(1, log.staleKeys(), "the old key is in the log, and stale");
  }
}
