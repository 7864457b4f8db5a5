package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.SimBacking;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.Remains;
import jpcache.pmem.SimPmem;
import jpcache.support.Power;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import jpcache.tools.rescue.Rescue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Zeroed ranges among writes, over a small cache whose segments are used again and again, with the
 * power cut at any drain of the cache, any request of the backing device, and in rescues: nothing
 * that was covered ever comes back.
 */
class ZeroesPropertyTest {
  private static final int LOGICAL_SECTORS = (10 << 20) / SECTOR;
  private static final int FREE_SEGMENTS = 6;
  private static final int LIVES = Integer.getInteger("jpcache.zeroes.lives", 60);

  /** What a sector holds after an operation: zeros, or the sector's content of that number. */
  private record Operation(int from, int to, int version, boolean zeros) {
    boolean covers(int sector) {
      return from <= sector && sector < to;
    }
  }

  private final long seed = Seeds.next(ZeroesPropertyTest.class);
  private final SplittableRandom random = new SplittableRandom(seed);
  private final MemorySegment buffer = Arena.ofAuto().allocate((long) LOGICAL_SECTORS * SECTOR);

  /** For each sector the number of what must be there; negative for zeros. */
  private final int[] expected = new int[LOGICAL_SECTORS];

  /** What was handed over and has not been acknowledged. */
  private final List<Operation> pending = new ArrayList<>();

  private long now = System.nanoTime();
  private int version;
  private int cuts;
  private int zeroings;
  private int collections;

  private final Power power = new Power();
  private final SimBacking backing =
      new SimBacking(
          SectorModel.firstContent(LOGICAL_SECTORS), SECTOR, false, random.nextLong(), power);

  @Test
  @Timeout(600)
  void whatZerosHaveCoveredNeverComesBack() {
    try (SimPmem memory = new SimPmem(512L << 20, power)) {
      MediaFormatter.format(memory, random.nextBoolean(), CacheMode.WRITE_BACK, 20);
      for (int life = 0; life < LIVES; life++) {
        if (random.nextInt(4) == 0) {
          rescue(memory);
        } else {
          live(memory);
        }
        Remains remains = memory.remains();
        remains.leave(remains.random(random));
        backing.crash(random);
        checkMedia(memory);
      }
    }
    System.out.printf(
        "ZeroesPropertyTest: %d lives, %d cut short, %d ranges zeroed, %d collections%n",
        LIVES, cuts, zeroings, collections);
    assertTrue(cuts > LIVES / 20, "most lives end at once: " + cuts);
    assertTrue(zeroings > LIVES && collections > LIVES / 8, "hardly anything happened");
  }

  private void live(SimPmem memory) {
    Cache cache =
        Cache.open(
            memory,
            backing,
            CacheOptions.defaults()
                .withLanes(1 + random.nextInt(3))
                .withDurability(Durability.ACK)
                .withWriteBack(0, 5));
    // All but a few segments are held, as if by readers that never end.
    while (cache.segments().count() - cache.segments().usedCount() > FREE_SEGMENTS) {
      cache.segments().takeForData();
    }
    power.cutAfter(random.nextInt(4) == 0 ? Long.MAX_VALUE : random.nextInt(800));
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < 100; i++) {
        step(cache, queue);
      }
    } catch (Power.Cut e) {
      cuts++;
    }
    power.stay();
    backing.fail(0); // the cut may have come while it failed
  }

  private void step(Cache cache, BlockQueue queue) {
    switch (random.nextInt(10)) {
      case 0, 1, 2 -> write(queue);
      case 3, 4 -> zero(queue);
      case 5, 6 -> commit(cache, queue);
      case 7, 8 -> {
        commit(cache, queue);
        backing.fail(random.nextInt(3) == 0 ? 200 : 0);
        maintain(cache);
        backing.fail(0);
        check(queue);
      }
      default -> {
        commit(cache, queue);
        check(queue);
      }
    }
    power.check();
  }

  private void write(BlockQueue queue) {
    int count = 1 + random.nextInt(random.nextInt(6) == 0 ? 4000 : 64);
    int sector = random.nextInt(LOGICAL_SECTORS - count + 1);
    Operation write = new Operation(sector, sector + count, ++version, false);
    MemorySegment data = buffer.asSlice((long) sector * SECTOR, (long) count * SECTOR);
    SectorModel.fill(data, 0, sector, count, version);
    pending.add(write);
    queue.write(
        (long) sector * SECTOR,
        count * SECTOR,
        data.address(),
        false,
        errno -> acknowledged(write, errno));
    // The memory is the queue's until the commit, and another write may want the same.
    queue.commit();
  }

  private void zero(BlockQueue queue) {
    int count = 1 + random.nextInt(random.nextBoolean() ? 64 : LOGICAL_SECTORS);
    int sector = random.nextInt(4) == 0 ? 0 : random.nextInt(LOGICAL_SECTORS - count + 1);
    Operation zeros = new Operation(sector, sector + count, ++version, true);
    pending.add(zeros);
    zeroings++;
    queue.writeZeroes(
        (long) sector * SECTOR,
        (long) count * SECTOR,
        random.nextBoolean(),
        random.nextInt(5) == 0,
        errno -> acknowledged(zeros, errno));
  }

  private void acknowledged(Operation done, int errno) {
    power.check();
    if (errno == Errno.ESHUTDOWN) {
      return; // the queue was closed before its commit: it stays pending
    }
    assertEquals(0, errno, "seed " + seed);
    pending.remove(done);
    Arrays.fill(expected, done.from, done.to, done.zeros ? -done.version : done.version);
  }

  /** After it nothing waits: a write that had to has been served. */
  private void commit(Cache cache, BlockQueue queue) {
    queue.commit();
    for (int step = 0; !cache.backlog().isEmpty(); step++) {
      maintain(cache);
      assertTrue(step < 10_000, "no progress, seed " + seed);
    }
    assertTrue(pending.isEmpty(), "seed " + seed);
  }

  private void maintain(Cache cache) {
    var before = cache.tails().keyTail();
    long pause = cache.maintenance().step(now);
    now += pause == Long.MAX_VALUE ? 0 : pause; // retries after errors wait
    collections += cache.tails().keyTail().equals(before) ? 0 : 1;
  }

  private void check(BlockQueue queue) {
    int count = 1 + random.nextInt(LOGICAL_SECTORS);
    int sector = random.nextInt(LOGICAL_SECTORS - count + 1);
    int[] result = {-1};
    queue.read(
        (long) sector * SECTOR, count * SECTOR, buffer.address(), errno -> result[0] = errno);
    power.check();
    assertEquals(0, result[0], "seed " + seed);
    for (int i = 0; i < count; i++) {
      if (!holds(i, sector + i, expected[sector + i])) {
        fail(describe("read", i, sector + i));
      }
    }
  }

  /** Whether the buffer's sector number {@code at} is what a number stands for. */
  private boolean holds(int at, int sector, int number) {
    return number < 0
        ? isZero(at)
        : SectorModel.versionOf(buffer, (long) at * SECTOR, sector) == number;
  }

  private boolean isZero(int at) {
    long from = (long) at * SECTOR;
    return MemorySegment.mismatch(buffer, from, from + SECTOR, ZERO, 0, SECTOR) < 0;
  }

  private static final MemorySegment ZERO = Arena.global().allocate(SECTOR);

  private String describe(String when, int at, int sector) {
    return when
        + ": sector "
        + sector
        + " is "
        + (isZero(at) ? "zeros" : "" + SectorModel.versionOf(buffer, (long) at * SECTOR, sector))
        + ", not "
        + expected[sector]
        + " (negative: zeros), seed "
        + seed;
  }

  /** Cut off somewhere, or not. */
  private void rescue(SimPmem memory) {
    Rescue.Options options = new Rescue.Options(false, false, 1 + random.nextInt(4));
    power.cutAfter(random.nextInt(60));
    try {
      new Rescue(
              CacheMedia.read("cache", memory.view()),
              backing,
              options,
              notice -> fail(notice),
              (done, of) -> {})
          .run(memory);
    } catch (Power.Cut | UserException e) {
      cuts++; // it is run again, or the cache is served
    }
    power.stay();
  }

  /** What independent readers make of what is left; it is what is expected from then on. */
  private void checkMedia(SimPmem memory) {
    FsckReport report = new Fsck("cache", memory.view(), backing, false, phase -> {}).run();
    assertEquals(0, report.problems(), () -> report + ", seed " + seed);
    new LogicalView(CacheMedia.read("cache", memory.view()), backing).read(0, buffer);
    for (int sector = 0; sector < LOGICAL_SECTORS; sector++) {
      int at = sector;
      if (!holds(at, sector, expected[sector])) {
        expected[sector] =
            pending.stream()
                .filter(operation -> operation.covers(at))
                .mapToInt(operation -> operation.zeros ? -operation.version : operation.version)
                .filter(number -> holds(at, at, number))
                .findFirst()
                .orElseGet(() -> fail(describe("after a crash", at, at)));
      }
    }
    pending.clear();
  }
}
