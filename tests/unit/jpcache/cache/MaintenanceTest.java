package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.KernelStatus;
import jpcache.media.MediaFormatter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import jpcache.support.LogLines;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is done when, told by simulated time: no step waits for a real clock. */
class MaintenanceTest {
  private static final int LOGICAL_BYTES = 64 << 20;
  private static final int PENDING = -1;
  private static final int AGE_MS = 5_000;
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final CacheOptions LAZY =
      CacheOptions.defaults().withLanes(4).withWriteBack(AGE_MS, 25);

  /** Kept, because the log manager would let it go. */
  private final Arena arena = Arena.ofConfined();

  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(32 << 20).fill((byte) 'x');
  private final MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
  private final int[] errno = {PENDING};
  private long now = System.nanoTime();

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  private Cache open(CacheOptions options, int gcPercent) {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, gcPercent);
    Cache cache = Cache.open(region, backing, options);
    now = System.nanoTime();
    return cache;
  }

  private void write(BlockQueue queue, long offset, int length) {
    errno[0] = PENDING;
    queue.write(offset, length, buffer.address(), false, e -> errno[0] = e);
    queue.commit();
  }

  private static boolean clean(Cache cache) {
    return cache.status().dirtyTail().equals(cache.status().keyHead());
  }

  private long settle(Cache cache) {
    long pause;
    int steps = 0;
    while ((pause = cache.maintenance().step(now)) == 0) {
      assertTrue(++steps < 10_000, "steps at one and the same time");
    }
    return pause;
  }

  @Test
  void dirtyDataIsWrittenBackWhenItIsOldEnoughAndNotBefore() {
    Cache cache = open(LAZY, 70);
    try (BlockQueue queue = cache.openQueue()) {
      write(queue, 0, 4096);
      long pause = settle(cache);
      assertEquals(TimeUnit.MILLISECONDS.toNanos(AGE_MS), pause);
      now += pause - 1;
      assertEquals(1, settle(cache));
      assertTrue(!clean(cache), "written back too early");
      now += 1;
      settle(cache);
      assertTrue(clean(cache));
      assertEquals(Long.MAX_VALUE, settle(cache), "nothing is due");
    }
  }

  @Test
  void aStopLeavesTheBatchUnderWayAndAllIsStillWrittenBackAtTheEnd() {
    Cache cache = open(LAZY.withWriteBack(0, 0), 70);
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < 8; i++) {
        write(queue, (long) i << 20, 4096);
      }
      backing.onWrite(cache::stopWaiting);
      assertEquals(Long.MAX_VALUE, settle(cache));
      assertEquals(4096, backing.writtenBytes(), "after the stop nothing more is begun");
      assertEquals(0, cache.maintenance().writeBackErrors());
      assertEquals(0, cache.maintenance().writeBackAll());
      assertEquals(9 * 4096, backing.writtenBytes());
      assertTrue(clean(cache));
    }
  }

  @Test
  void whatIsWrittenLaterGetsItsOwnTime() {
    Cache cache = open(LAZY, 70);
    try (BlockQueue queue = cache.openQueue()) {
      write(queue, 0, 4096);
      settle(cache);
      Position first = cache.status().keyHead();
      now += 3 * SECOND;
      write(queue, 8192, 4096);
      settle(cache);
      now += 2 * SECOND;
      settle(cache);
      assertEquals(first, cache.status().dirtyTail());
      now += AGE_MS * SECOND / 1000;
      settle(cache);
      assertTrue(clean(cache));
    }
  }

  @Test
  void aShareOfDirtyDataIsWrittenBackAtOnce() {
    Cache cache = open(LAZY, 90);
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < 3; i++) {
        write(queue, 0, 32 << 20);
      }
      settle(cache);
      assertTrue(!clean(cache), "a fifth of the cache is below the limit");
      write(queue, 0, 32 << 20);
      settle(cache);
      assertTrue(cache.dirtyPercent() < 25, cache.dirtyPercent() + " %");
    }
  }

  /** Steps until all is written back, each later than the one before by so much; how many. */
  private int stepsFor(int megabytes, long nanosEach) {
    Cache cache = open(LAZY.withWriteBack(0, 0), 90);
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < megabytes / 32; i++) {
        write(queue, 0, 32 << 20);
      }
      int steps = 0;
      while (!clean(cache)) {
        cache.maintenance().step(now);
        now += nanosEach;
        steps++;
      }
      return steps;
    }
  }

  @Test
  void batchesGrowWhereTheDeviceIsQuick() {
    assertTrue(stepsFor(256, 0) <= 8, "64 MiB each, as much as this cache has them");
  }

  @Test
  void batchesStaySmallWhereTheDeviceIsSlow() {
    assertTrue(stepsFor(256, 3 * SECOND) >= 12, "64, 32, then 16 MiB each");
  }

  @Test
  void whileALargeBatchGoesOnWhatEarlierOnesBroughtIsCollected() {
    Cache cache = open(LAZY.withWriteBack(0, 0), 0);
    Map<Position, Set<Position>> keyTailsByDirtyTail = new HashMap<>();
    backing.onWrite(() -> {
      KernelStatus status = cache.status();
      keyTailsByDirtyTail
          .computeIfAbsent(status.dirtyTail(), dirtyTail -> new HashSet<>())
          .add(status.keyTail());
    });
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < 8; i++) {
        write(queue, 0, 32 << 20);
      }
      settle(cache);
    }
    assertTrue(
        keyTailsByDirtyTail.values().stream().anyMatch(keyTails -> keyTails.size() > 1),
        "key_tail moves between batches only");
  }

  @Test
  void afterPressureYoungDataIsLeftAloneAgain() {
    Cache cache = open(LAZY, 90);
    try (BlockQueue queue = cache.openQueue()) {
      write(queue, 0, 4096);
      settle(cache); // the mark is set here
      for (int i = 0; i < 4; i++) {
        write(queue, 0, 32 << 20);
      }
      settle(cache); // leaves a part of it
      assertTrue(!clean(cache));
      now += AGE_MS * SECOND / 1000 - 1;
      write(queue, 8192, 4096);
      Position young = cache.status().keyHead();
      settle(cache);
      now += 2; // now all but the young write is old enough
      settle(cache);
      assertNotEquals(young, cache.status().dirtyTail(), "written back at the age of 2 ns");
    }
  }

  @Test
  void withABrokenDeviceThePausesGrowToTenSecondsAndNoFurther() {
    Cache cache = open(LAZY.withWriteBack(0, 0), 0);
    backing.failWrites(Errno.EIO);
    try (BlockQueue queue = cache.openQueue()) {
      write(queue, 0, 4096);
    }
    long start = now;
    int steps = 0;
    long last = 0;
    while (now - start < 60 * SECOND) {
      last = cache.maintenance().step(now);
      assertTrue(last > 0, "a busy loop");
      now += last;
      steps++;
    }
    assertEquals(10 * SECOND, last);
    assertTrue(steps < 20, steps + " steps in a minute");
    assertEquals(Errno.EIO, cache.maintenance().lastErrno());

    backing.failWrites(0);
    settle(cache);
    assertTrue(clean(cache), "a device that comes back is picked up");
    assertEquals(0, cache.maintenance().lastErrno());
  }

  @Test
  void afterAnErrorThePauseStartsSmallAgain() {
    Cache cache = open(LAZY.withWriteBack(0, 0), 0);
    try (BlockQueue queue = cache.openQueue()) {
      for (int round = 0; round < 3; round++) {
        backing.failWrites(Errno.EIO);
        write(queue, 0, 4096);
        assertEquals(SECOND / 10, cache.maintenance().step(now));
        now += SECOND / 10;
        backing.failWrites(0);
        settle(cache);
        assertTrue(clean(cache));
      }
    }
  }

  @Test
  void aBrokenDeviceIsToldOnceAndSoIsThatItWorksAgain() {
    List<String> told;
    Cache cache = open(LAZY.withWriteBack(0, 0), 0);
    try (LogLines log = LogLines.of(Maintenance.class);
        BlockQueue queue = cache.openQueue()) {
      told = log.lines();
      backing.failWrites(Errno.ENOSPC);
      write(queue, 0, 4096);
      for (int i = 0; i < 5; i++) {
        now += cache.maintenance().step(now);
      }
      backing.failWrites(0);
      settle(cache);
    }
    assertEquals(2, told.size(), told::toString);
    String text = Errno.text(Errno.ENOSPC);
    assertTrue(told.getFirst().startsWith("SEVERE backing memory: "), told::toString);
    assertTrue(told.getFirst().contains(text + "; it stays in the cache"), told::toString);
    assertEquals("INFO backing memory: write-back works again", told.getLast());
  }

  @Test
  void anIdleCacheAsksForNoStep() {
    assertEquals(Long.MAX_VALUE, settle(open(LAZY, 0)));
  }

  /** With FLUSH the keys of all that fills a cache may still be in open key sets. */
  @ParameterizedTest
  @EnumSource(Durability.class)
  void aFullCacheNeverMakesAWriterWaitForAClock(Durability durability) {
    Cache cache = open(LAZY.withDurability(durability), 90);
    try (BlockQueue queue = cache.openQueue()) {
      for (int waited = 0; waited < 5; ) {
        write(queue, 0, 32 << 20);
        if (errno[0] == PENDING) {
          waited++;
          for (int step = 0; errno[0] == PENDING; step++) {
            long pause = cache.maintenance().step(now);
            assertTrue(pause == 0 || errno[0] != PENDING, "waits for " + pause + " ns");
            assertTrue(step < 10_000);
          }
        }
        assertEquals(0, errno[0]);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void roomThatAnotherQueueHoldsIsAskedForAgainWhenThatCommitsOrIsClosed(boolean commits) {
    Cache cache = open(LAZY.withLanes(1), 90);
    AtomicInteger wakes = new AtomicInteger();
    try (BlockQueue queue = cache.openQueue()) {
      BlockQueue holder = cache.openQueue();
      cache.admission().setDeviceFails(true); // the reserve is open then
      while (cache.status().segmentsUsed() < 28) {
        holder.write(0, 4 << 20, buffer.address(), false, e -> {});
      }
      // The last that is admitted takes all that the log does not keep.
      holder.write(0, 32 << 20, buffer.address(), false, e -> {});
      assertEquals(30, cache.status().segmentsUsed());
      cache.admission().setDeviceFails(false);
      write(queue, 0, 32 << 20);
      settle(cache);
      assertEquals(PENDING, errno[0]);
      cache.setWakeUp(wakes::incrementAndGet);
      if (commits) {
        holder.commit();
      } else {
        holder.close();
      }
      assertTrue(wakes.get() > 0, "nobody tells the maintenance thread");
      settle(cache);
      assertEquals(0, errno[0]);
    }
  }
}
