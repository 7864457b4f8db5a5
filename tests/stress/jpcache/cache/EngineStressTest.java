package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import jpcache.Seeds;
import jpcache.backing.SimBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Writers, readers and maintenance on threads of their own, over a cache that has only a few
 * segments left: they are written back, freed and filled again under the readers all the time.
 *
 * <p>A sector says which it is and which write made it. Every sector has one writer, so a read must
 * find a version between the last one acknowledged before it began and the last one handed over
 * when it is looked at: never another sector's bytes, never a mixture.
 */
class EngineStressTest {
  private static final int SECTORS = (24 << 20) / SECTOR;
  private static final int BLOCK_SECTORS = 128;
  private static final int WRITERS = 2;
  private static final int READERS = 4;
  private static final int MAX_READ_SECTORS = (4 << 20) / SECTOR;

  /** As many as are kept in reserve: with fewer, nobody could tie up the rest. */
  private static final int SEGMENTS_LEFT = 8;

  /** Ten times what the segments hold that are not tied up: each is recycled again and again. */
  private static final long ENOUGH_SECTORS = 10L * (SEGMENTS_LEFT << 15);

  private final AtomicIntegerArray handedOver = new AtomicIntegerArray(SECTORS);
  private final AtomicIntegerArray acknowledged = new AtomicIntegerArray(SECTORS);
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final AtomicLong sectorsRead = new AtomicLong();
  private final AtomicLong sectorsWritten = new AtomicLong();
  private volatile boolean stopping;

  private static long durationNanos() {
    Long minutes = Long.getLong("jpcache.soak.minutes");
    return minutes != null
        ? TimeUnit.MINUTES.toNanos(minutes) / Durability.values().length
        : TimeUnit.SECONDS.toNanos(8);
  }

  @ParameterizedTest
  @EnumSource(Durability.class)
  @Timeout(86_400)
  void noReaderSeesAnotherSectorOrAnOlderVersionWhileSegmentsAreRecycledUnderIt(
      Durability durability) throws Exception {
    long seed = Seeds.next(getClass());
    SimBacking backing = new SimBacking(SectorModel.firstContent(SECTORS), false, seed);
    CacheOptions options =
        CacheOptions.defaults().withLanes(2).withDurability(durability).withWriteBack(0, 0);
    try (Arena arena = Arena.ofShared();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 0);
      Cache cache = Cache.open(region, backing, options);
      BlockQueue hog = cache.openQueue();
      MemorySegment some = arena.allocate(4 << 20);
      while (cache.segments().usedCount() < cache.segments().count() - SEGMENTS_LEFT) {
        hog.write(0, 4 << 20, some.address(), false, errno -> {});
      }
      Thread maintenance = start(() -> maintain(cache));
      List<Thread> clients = new ArrayList<>();
      for (int i = 0; i < WRITERS; i++) {
        int writer = i;
        clients.add(start(() -> write(cache, writer, new SplittableRandom(seed + writer))));
      }
      for (int i = 0; i < READERS; i++) {
        int reader = i;
        clients.add(start(() -> read(cache, new SplittableRandom(seed - 1 - reader))));
      }
      long begin = System.nanoTime();
      // On a machine with other work it goes on until every segment has had its turn.
      while (failure.get() == null
          && (System.nanoTime() - begin < durationNanos() || sectorsWritten.get() < ENOUGH_SECTORS)
          && System.nanoTime() - begin < 10 * durationNanos()) {
        LockSupport.parkNanos(10_000_000);
      }
      stopping = true;
      for (Thread client : clients) {
        client.join();
      }
      maintenance.join();
      hog.close();
      if (failure.get() != null) {
        throw new AssertionError("seed " + seed, failure.get());
      }
      System.out.printf(
          "EngineStressTest: %s, %d MiB written, %d MiB read%n",
          durability, sectorsWritten.get() >> 11, sectorsRead.get() >> 11);
      assertTrue(sectorsWritten.get() >= ENOUGH_SECTORS, "too little to recycle anything");
    }
  }

  private Thread start(Runnable body) {
    return Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try {
            body.run();
          } catch (Throwable e) {
            failure.compareAndSet(null, e);
            stopping = true;
          }
        });
  }

  /** Steps for as long as anybody writes, and until nobody waits. */
  private void maintain(Cache cache) {
    while (!stopping || !cache.backlog().isEmpty()) {
      long pause = cache.maintenance().step(System.nanoTime());
      if (pause > 0) {
        LockSupport.parkNanos(Math.min(pause, 100_000));
      }
    }
  }

  private void write(Cache cache, int writer, SplittableRandom random) {
    try (Arena arena = Arena.ofConfined();
        BlockQueue queue = cache.openQueue()) {
      MemorySegment buffer = arena.allocate(8L * BLOCK_SECTORS * SECTOR);
      AtomicInteger pending = new AtomicInteger();
      for (int version = 1; !stopping; version++) {
        int batch = 1 + random.nextInt(8);
        for (int i = 0; i < batch; i++) {
          long at = (long) i * BLOCK_SECTORS * SECTOR;
          writeOne(queue, buffer, at, writer, version++, random, pending);
        }
        queue.commit();
        while (pending.get() > 64 && failure.get() == null) {
          Thread.onSpinWait();
        }
      }
    }
  }

  private void writeOne(
      BlockQueue queue,
      MemorySegment buffer,
      long at,
      int writer,
      int version,
      SplittableRandom random,
      AtomicInteger pending) {
    int block = random.nextInt(SECTORS / BLOCK_SECTORS / WRITERS) * WRITERS + writer;
    int count = 1 + random.nextInt(BLOCK_SECTORS);
    int sector = block * BLOCK_SECTORS + random.nextInt(BLOCK_SECTORS - count + 1);
    SectorModel.fill(buffer, at, sector, count, version);
    for (int s = sector; s < sector + count; s++) {
      handedOver.set(s, version);
    }
    pending.incrementAndGet();
    queue.write(
        (long) sector * SECTOR,
        count * SECTOR,
        buffer.address() + at,
        false,
        errno -> {
          assertEquals(0, errno);
          for (int s = sector; s < sector + count; s++) {
            acknowledged.set(s, version);
          }
          sectorsWritten.addAndGet(count);
          pending.decrementAndGet();
        });
  }

  private void read(Cache cache, SplittableRandom random) {
    int[] oldest = new int[MAX_READ_SECTORS];
    AtomicInteger result = new AtomicInteger();
    try (Arena arena = Arena.ofConfined();
        BlockQueue queue = cache.openQueue()) {
      MemorySegment buffer = arena.allocate((long) MAX_READ_SECTORS * SECTOR);
      while (!stopping) {
        int count = 1 + random.nextInt(random.nextInt(4) == 0 ? MAX_READ_SECTORS : 512);
        int sector = random.nextInt(SECTORS - count + 1);
        for (int i = 0; i < count; i++) {
          oldest[i] = acknowledged.get(sector + i);
        }
        result.set(-1);
        queue.read((long) sector * SECTOR, count * SECTOR, buffer.address(), result::set);
        while (result.get() < 0) {
          Thread.onSpinWait(); // another reader brings what this one misses
        }
        assertEquals(0, result.get());
        for (int i = 0; i < count; i++) {
          long at = (long) i * SECTOR;
          int got = SectorModel.versionOf(buffer, at, sector + i);
          if (got < oldest[i] || got > handedOver.get(sector + i)) {
            throw new AssertionError(
                "sector "
                    + (sector + i)
                    + " read as version "
                    + got
                    + ", acknowledged "
                    + oldest[i]
                    + "; "
                    + SectorModel.describe(buffer, at));
          }
        }
        sectorsRead.addAndGet(count);
      }
    }
  }
}
