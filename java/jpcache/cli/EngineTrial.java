package jpcache.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.locks.LockSupport;
import jpcache.backing.BackingDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ReadBatch;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.cache.Drain;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/**
 * What the engine does, measured beside what the memory does when nothing stands before it.
 *
 * <p>A round makes an empty cache on the region, writes all of a logical device that is a quarter
 * of it, once to fill and once to be measured, and reads it. So nothing ever waits for room, which
 * would measure the backing device, and every read is a hit. Writes are measured twice: as a burst,
 * which is over before write-back begins, and with write-back running beside them all the time, on
 * a thread of its own.
 */
final class EngineTrial implements AutoCloseable {
  /** What is measured, in the order in which it is done. */
  enum Work {
    RAW_WRITE("raw sequential persist", null),
    BURST("random write burst", RAW_WRITE),
    WRITE("random write", RAW_WRITE),
    RAW_READ("raw random copy", null),
    READ("random read hit", RAW_READ),
    MIXED("70/30 read/write", null);

    final String title;
    final @Nullable Work raw;

    Work(String title, @Nullable Work raw) {
      this.title = title;
      this.raw = raw;
    }
  }

  private static final int BATCH = 32;

  private final PmemRegion region;
  private final int blockBytes;
  private final int threads;
  private final boolean dataCrc;
  private final long logicalBytes;
  private final int[] blocks;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment buffers;
  private final Completion done =
      errno -> {
        if (errno != 0) {
          throw new IllegalStateException("a request failed: " + Errno.text(errno));
        }
      };

  EngineTrial(PmemRegion region, int blockBytes, int threads, boolean dataCrc) {
    this.region = region;
    this.blockBytes = blockBytes;
    this.threads = threads;
    this.dataCrc = dataCrc;
    logicalBytes = region.sizeBytes() / 4 / blockBytes * blockBytes;
    blocks = new int[(int) (logicalBytes / blockBytes)];
    buffers = arena.allocate((long) threads * BATCH * blockBytes, 4096).fill((byte) 0x5A);
  }

  /** Measures everything once: nanoseconds of an operation, by {@link Work}. */
  Map<Work, Double> round(long seed) {
    shuffle(seed);
    Map<Work, Double> nanos = new EnumMap<>(Work.class);
    nanos.put(Work.RAW_WRITE, time(this::rawWrite));
    nanos.put(Work.RAW_READ, time(this::rawRead));
    inFreshCache(
        Integer.MAX_VALUE,
        100,
        (cache, queues) -> nanos.put(Work.BURST, fillAndWrite(queues, seed + 1)));
    inFreshCache(
        0,
        0,
        (cache, queues) -> {
          nanos.put(Work.WRITE, fillAndWrite(queues, seed + 2));
          awaitWriteBack(cache);
          shuffle(seed + 3); // else the log would be read from its begin to its end
          nanos.put(Work.READ, time((thread, from, to) -> read(queues[thread], thread, from, to)));
          nanos.put(Work.MIXED, time((thread, from, to) -> mix(queues[thread], thread, from, to)));
        });
    return nanos;
  }

  /** What is measured in a cache, with a queue for each thread. */
  private interface Measured {
    void in(Cache cache, BlockQueue[] queues);
  }

  private void inFreshCache(int dirtyAgeMs, int dirtyPercent, Measured measured) {
    MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, CacheInfo.GC_PERCENT_DEFAULT);
    CacheOptions options =
        CacheOptions.defaults().withLanes(threads).withWriteBack(dirtyAgeMs, dirtyPercent);
    try (Cache cache = Cache.open(region, new Sink(logicalBytes), options)) {
      MaintenanceThread maintenance = MaintenanceThread.start(cache);
      BlockQueue[] queues = new BlockQueue[threads];
      for (int i = 0; i < threads; i++) {
        queues[i] = cache.openQueue();
      }
      measured.in(cache, queues);
      for (BlockQueue queue : queues) {
        queue.close();
      }
      if (!maintenance.stop(60_000)) {
        throw new IllegalStateException("write-back did not end within a minute");
      }
    }
  }

  /** Each block is written once, and then, measured, once more in another order. */
  private double fillAndWrite(BlockQueue[] queues, long seed) {
    time((thread, from, to) -> write(queues[thread], thread, from, to));
    shuffle(seed);
    return time((thread, from, to) -> write(queues[thread], thread, from, to));
  }

  /** Reads are measured by themselves; the next write begins with nothing left of this one. */
  private static void awaitWriteBack(Cache cache) {
    Drain drain = cache.drain();
    while (!drain.hasEnded()) {
      LockSupport.parkNanos(100_000);
    }
  }

  private void shuffle(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < blocks.length; i++) {
      int j = random.nextInt(i + 1);
      blocks[i] = blocks[j];
      blocks[j] = i;
    }
  }

  /** A thread's share of the work: the blocks from one to another. */
  private interface Share {
    void run(int thread, int from, int to);
  }

  /** Runs the shares side by side; returns the nanoseconds that one thread took for a block. */
  private double time(Share share) {
    CyclicBarrier start = new CyclicBarrier(threads + 1);
    Throwable[] failures = new Throwable[threads];
    Thread[] running = new Thread[threads];
    int each = blocks.length / threads;
    for (int i = 0; i < threads; i++) {
      int thread = i;
      running[i] =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  start.await();
                  share.run(thread, thread * each, (thread + 1) * each);
                } catch (Exception | Error e) {
                  failures[thread] = e;
                }
              });
    }
    try {
      start.await();
      long begin = System.nanoTime();
      for (Thread thread : running) {
        thread.join();
      }
      double nanos = System.nanoTime() - begin;
      for (Throwable failure : failures) {
        if (failure != null) {
          throw new IllegalStateException(failure);
        }
      }
      return nanos / each;
    } catch (Exception e) {
      throw new IllegalStateException("bench: " + e.getMessage(), e);
    }
  }

  private long buffer(int thread, int i) {
    return buffers.address() + ((long) thread * BATCH + i % BATCH) * blockBytes;
  }

  private void rawWrite(int thread, int from, int to) {
    for (int i = from; i < to; i++) {
      region.persist((long) i * blockBytes, buffer(thread, i), blockBytes);
    }
  }

  private void rawRead(int thread, int from, int to) {
    for (int i = from; i < to; i++) {
      PmemReads.copy(region.view(), (long) blocks[i] * blockBytes, buffer(thread, i), blockBytes);
    }
  }

  private void write(BlockQueue queue, int thread, int from, int to) {
    for (int i = from; i < to; i++) {
      queue.write((long) blocks[i] * blockBytes, blockBytes, buffer(thread, i), false, done);
      if (i % BATCH == BATCH - 1) {
        queue.commit();
      }
    }
    queue.commit();
  }

  private void read(BlockQueue queue, int thread, int from, int to) {
    ReadBatch batch = new ReadBatch();
    for (int i = from; i < to; i++) {
      batch.add((long) blocks[i] * blockBytes, blockBytes, buffer(thread, i), done);
      if (batch.isFull() || i == to - 1) {
        queue.readAll(batch);
        batch.clear();
      }
    }
  }

  private void mix(BlockQueue queue, int thread, int from, int to) {
    for (int i = from; i < to; i++) {
      long offset = (long) blocks[i] * blockBytes;
      if (i % 10 < 7) {
        queue.read(offset, blockBytes, buffer(thread, i), done);
      } else {
        queue.write(offset, blockBytes, buffer(thread, i), false, done);
      }
      if (i % BATCH == BATCH - 1) {
        queue.commit();
      }
    }
    queue.commit();
  }

  @Override
  public void close() {
    arena.close();
  }

  /** A backing device that takes everything at once and has nothing. */
  private record Sink(long sizeBytes) implements BackingDevice {
    @Override
    public String name() {
      return "none";
    }

    @Override
    public int blockBytes() {
      return 512;
    }

    @Override
    public int directAlignmentBytes() {
      return 512;
    }

    @Override
    public boolean readOnly() {
      return false;
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EIO);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(0);
    }

    @Override
    public void flush(Completion done) {
      done.complete(0);
    }

    @Override
    public void close() {}
  }
}
