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
import jpcache.cache.CacheMetrics.Event;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Writers, readers and maintenance on threads of their own, over a cache that has only a few
 * segments: they are written back, freed and filled again under the readers all the time, by writes
 * and by what misses bring.
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

  /** With twelve of them in use collection begins, and what misses bring is not cached. */
  private static final int SEGMENTS = 16;

  private static final int GC_PERCENT = 75;

  /** Three times what all segments hold: each is recycled again and again. */
  private static final long ENOUGH_SECTORS = 3L * (SEGMENTS << 15);

  private static final long GIVE_UP_NANOS = TimeUnit.MINUTES.toNanos(10);

  private final AtomicIntegerArray handedOver = new AtomicIntegerArray(SECTORS);
  private final AtomicIntegerArray acknowledged = new AtomicIntegerArray(SECTORS);
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final AtomicLong sectorsRead = new AtomicLong();
  private final AtomicLong sectorsWritten = new AtomicLong();
  private long collections;
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
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      Cache cache = open(region, backing, durability);
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
          && System.nanoTime() - begin < durationNanos() + GIVE_UP_NANOS) {
        LockSupport.parkNanos(10_000_000);
      }
      stopping = true;
      for (Thread client : clients) {
        client.join();
      }
      maintenance.join();
      if (failure.get() != null) {
        throw new AssertionError("seed " + seed, failure.get());
      }
      report(cache, durability);
    }
  }

  private static Cache open(MemoryRegion region, SimBacking backing, Durability durability) {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, GC_PERCENT);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    new MetadataWriter(region, media.segments())
        .cacheInfo(new CacheInfo(0, SEGMENTS, media.info().flags()));
    CacheOptions options =
        CacheOptions.defaults().withLanes(2).withDurability(durability).withWriteBack(0, 0);
    return Cache.open(region, backing, options);
  }

  private void report(Cache cache, Durability durability) {
    long written = sectorsWritten.get();
    CacheMetrics metrics = cache.metrics();
    long kept = metrics.sum(Event.KEPT_BYTES);
    long filled = metrics.sum(Event.STORED_BYTES) - written * SECTOR - kept;
    System.out.printf(
        "EngineStressTest: %s, %d MiB written, %d MiB read, %d MiB filled, %d MiB kept,"
            + " %d collections%n",
        durability, written >> 11, sectorsRead.get() >> 11, filled >> 20, kept >> 20, collections);
    assertTrue(written >= ENOUGH_SECTORS, "too little to recycle anything");
    assertTrue(filled > 1 << 20, "what misses bring is hardly ever cached");
    assertTrue(collections > 10, "hardly anything is collected");
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
      Position before = cache.tails().keyTail();
      long pause = cache.maintenance().step(System.nanoTime());
      collections += cache.tails().keyTail().equals(before) ? 0 : 1;
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
