package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import jpcache.Seeds;
import jpcache.backing.SimBacking;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.history.SectorHistory;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Many queues on the same few sectors of one subtree, with threads of their own: what they saw must
 * be linearizable, sector by sector. No socket is in between, so that far more meets than over NBD:
 * writes and commits of several queues, fills that come late, prefetches, extents that are split
 * and covered, write-back and collection.
 */
class SubtreeHistoryTest {
  /** On a machine with other work it goes on until there are so many: fewer say nothing. */
  private static final int ENOUGH_OPERATIONS = 1000;

  private static final int DEVICE_SECTORS = (24 << 20) / SECTOR;
  private static final int FIRST_SECTOR = 1000;

  /** All meet in one of these rows for a while, then in the next; none is still cached by then. */
  private static final int ROWS = 24;

  private static final int ROW_SECTORS = 64;
  private static final int BATCHES_PER_ROW = 64;
  private static final int MOST_SECTORS = 16;
  private static final int CLIENTS = 6;
  private static final int CHURN_BYTES = 1 << 20;
  private static final int CHURN_OFFSET = 12 << 20;

  /** So much is in use that a few segments more make room to be wanted, and no misses be filled. */
  private static final int FREE_SEGMENTS = 16;

  private static final int GC_PERCENT = 60;

  private final long seed = Seeds.next(getClass());
  private final SectorHistory history = new SectorHistory(ROWS * ROW_SECTORS);
  private final AtomicInteger batches = new AtomicInteger();
  private final AtomicInteger churnVersions = new AtomicInteger();

  private static long durationNanos() {
    Long minutes = Long.getLong("jpcache.soak.minutes");
    return minutes != null
        ? TimeUnit.MINUTES.toNanos(minutes) / Durability.values().length
        : TimeUnit.SECONDS.toNanos(3);
  }

  @ParameterizedTest
  @EnumSource(Durability.class)
  @Timeout(86_400)
  void whatQueuesSeeOfOneSubtreeIsLinearizable(Durability durability) throws Exception {
    SimBacking backing = new SimBacking(SectorModel.firstContent(DEVICE_SECTORS), true, seed);
    CacheOptions options =
        CacheOptions.defaults().withLanes(2).withDurability(durability).withWriteBack(0, 0);
    AtomicBoolean over = new AtomicBoolean();
    try (Arena arena = Arena.ofShared();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, GC_PERCENT);
      Cache cache = Cache.open(region, backing, options);
      BlockQueue hog = cache.openQueue();
      MemorySegment some = arena.allocate(4 << 20);
      while (cache.segments().usedCount() < cache.segments().count() - FREE_SEGMENTS) {
        hog.write(20 << 20, 4 << 20, some.address(), false, errno -> {});
      }
      Thread maintenance = Thread.ofPlatform().start(() -> maintain(cache, over));
      long end = System.nanoTime() + durationNanos();
      try {
        runClients(cache, arena, end);
      } finally {
        over.set(true);
        maintenance.join();
        hog.close();
      }
      cache.close();
    } finally {
      backing.close();
    }
    assertNull(history.violation(), () -> "seed " + seed);
    System.out.printf(
        "SubtreeHistoryTest: %s, %d operations of sectors are linearizable, %d MiB beside them%n",
        durability, history.operations(), churnVersions.get());
  }

  private void runClients(Cache cache, Arena arena, long end) throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(CLIENTS)) {
      List<Future<Integer>> clients = new ArrayList<>();
      for (int i = 0; i < CLIENTS; i++) {
        Callable<Integer> client = new Client(cache, arena, new SplittableRandom(seed + i), end);
        clients.add(threads.submit(client));
      }
      for (Future<Integer> client : clients) {
        client.get();
      }
    }
  }

  private static void maintain(Cache cache, AtomicBoolean over) {
    while (!over.get() || !cache.backlog().isEmpty()) {
      long pause = cache.maintenance().step(System.nanoTime());
      if (pause > 0) {
        LockSupport.parkNanos(Math.min(pause, 100_000));
      }
    }
  }

  /** A request, and when it was made and answered. */
  private static final class Request implements Completion {
    final boolean write;
    final int sector;
    final int count;
    final long value;
    final long at;
    final long invoked;
    private final SectorHistory history;
    volatile long answered;
    volatile int error;

    Request(SectorHistory history, boolean write, int sector, int count, long value, long at) {
      this.history = history;
      this.write = write;
      this.sector = sector;
      this.count = count;
      this.value = value;
      this.at = at;
      invoked = history.tick();
    }

    @Override
    public void complete(int errno) {
      error = errno;
      answered = history.tick();
    }
  }

  private final class Client implements Callable<Integer> {
    private final BlockQueue queue;
    private final MemorySegment buffer;
    private final MemorySegment churn;
    private final SplittableRandom random;
    private final long end;
    private final SectorHistory.Recorder recorder = history.recorder();

    Client(Cache cache, Arena arena, SplittableRandom random, long end) {
      queue = cache.openQueue();
      buffer = arena.allocate(8L * MOST_SECTORS * SECTOR, 512);
      churn = arena.allocate(CHURN_BYTES, 512);
      this.random = random;
      this.end = end;
    }

    @Override
    public Integer call() {
      int requests = 0;
      try (queue) {
        while (System.nanoTime() < end || history.operations() <= ENOUGH_OPERATIONS) {
          requests += batch();
        }
      }
      return requests;
    }

    private int batch() {
      List<Request> batch = new ArrayList<>();
      int row = batches.getAndIncrement() / BATCHES_PER_ROW % ROWS;
      for (int n = 1 + random.nextInt(8); n > 0; n--) {
        batch.add(request(row, (long) batch.size() * MOST_SECTORS * SECTOR));
      }
      if (random.nextInt(8) == 0) {
        batch.add(churn());
      }
      queue.commit();
      batch.forEach(this::record);
      return batch.size();
    }

    private Request request(int row, long at) {
      int count = 1 + random.nextInt(MOST_SECTORS);
      int sector = row * ROW_SECTORS + random.nextInt(ROW_SECTORS - count + 1);
      long offset = (long) (FIRST_SECTOR + sector) * SECTOR;
      int bytes = count * SECTOR;
      boolean write = random.nextInt(3) == 0;
      long value = write ? history.newValue() : 0;
      if (write) {
        SectorModel.fill(buffer, at, FIRST_SECTOR + sector, count, (int) value);
      } else if (random.nextInt(4) == 0) {
        queue.prefetch(offset, bytes, errno -> {});
      }
      Request request = new Request(history, write, sector, count, value, at);
      if (write) {
        queue.write(offset, bytes, buffer.address() + at, random.nextInt(4) == 0, request);
      } else {
        queue.read(offset, bytes, buffer.address() + at, request);
      }
      return request;
    }

    /** Fills segments, so that what was recorded falls out of the cache; itself not recorded. */
    private Request churn() {
      int version = churnVersions.incrementAndGet();
      long offset = CHURN_OFFSET + (long) random.nextInt(7) * CHURN_BYTES;
      int sectors = CHURN_BYTES / SECTOR;
      SectorModel.fill(churn, 0, (int) (offset / SECTOR), sectors, version);
      Request request = new Request(history, true, 0, 0, 0, 0);
      queue.write(offset, CHURN_BYTES, churn.address(), false, request);
      return request;
    }

    private void record(Request request) {
      while (request.answered == 0) {
        LockSupport.parkNanos(1000); // another thread brings what it waits for
      }
      if (request.error != 0) {
        throw new AssertionError("a request failed with " + request.error);
      }
      if (request.write) {
        recorder.wrote(
            request.sector, request.count, request.value, request.invoked, request.answered);
        return;
      }
      for (int i = 0; i < request.count; i++) {
        long at = request.at + (long) i * SECTOR;
        int sector = FIRST_SECTOR + request.sector + i;
        int value = SectorModel.versionOf(buffer, at, sector);
        if (value < 0) {
          throw new AssertionError(
              "sector " + sector + " is torn: " + SectorModel.describe(buffer, at));
        }
        recorder.read(request.sector + i, value, request.invoked, request.answered);
      }
    }
  }
}
