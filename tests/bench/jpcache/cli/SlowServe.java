package jpcache.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.backing.ThrottledBacking;
import jpcache.base.Errno;
import jpcache.base.Sizes;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;

/**
 * Serves a new cache in front of a device of 100 MB/s and 5 ms: {@code SlowServe CACHE CACHE_SIZE
 * BACKING BLOCK_BYTES BATCH_BYTES URI}. First it measures the device alone, with sorted batches of
 * random blocks as write-back writes them, and prints {@code DEVICE bytes-per-second}; at the end
 * it prints {@code BACKING bytes-written}.
 */
public final class SlowServe {
  private static final long BYTES_PER_SECOND = 100_000_000;
  private static final long LATENCY_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
  private static final int DEPTH = 32;
  private static final long MEASURE_NANOS = TimeUnit.SECONDS.toNanos(4);

  private SlowServe() {}

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws InterruptedException {
    BackingDevice memory = BackingDevices.open(args[2], BackingOptions.readWrite());
    ThrottledBacking slow = new ThrottledBacking(memory, BYTES_PER_SECOND, LATENCY_NANOS, DEPTH);
    System.out.println(
        "DEVICE " + sortedWrites(slow, Integer.parseInt(args[3]), (int) Sizes.parse(args[4])));
    PmemRegion region = PmemFiles.create(args[0], Sizes.parse(args[1]), null);
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    NbdUri address = NbdUri.parse(args[5]);
    Serving serving =
        Serving.start(
            region,
            slow,
            CacheOptions.defaults(),
            NbdServerOptions.defaults().withListen(address),
            Set.of(""));
    long before = slow.writtenBytes();
    try (StopSignal stop = new StopSignal()) {
      System.out.println("READY " + serving.addresses().getFirst());
      stop.await();
      System.out.println("BACKING " + (slow.writtenBytes() - before));
      serving.close();
      stop.succeeded();
    }
  }

  /** Bytes a second of the device alone: batch after batch of random blocks, sorted, flushed. */
  private static long sortedWrites(BackingDevice device, int blockBytes, int batchBytes)
      throws InterruptedException {
    SplittableRandom random = new SplittableRandom(11);
    int[] batch = new int[batchBytes / blockBytes];
    Semaphore depth = new Semaphore(DEPTH);
    AtomicInteger firstErrno = new AtomicInteger();
    long start = System.nanoTime();
    long bytes = 0;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment data = arena.allocate(blockBytes, 4096);
      while (System.nanoTime() - start < MEASURE_NANOS) {
        Arrays.setAll(batch, i -> random.nextInt((int) (device.sizeBytes() / blockBytes)));
        Arrays.sort(batch);
        for (int block : batch) {
          depth.acquire();
          device.write(
              (long) block * blockBytes,
              blockBytes,
              data.address(),
              errno -> ended(errno, firstErrno, depth));
        }
        depth.acquire(DEPTH);
        device.flush(errno -> ended(errno, firstErrno, depth));
        depth.acquire();
        depth.release(DEPTH);
        bytes += (long) batch.length * blockBytes;
      }
    }
    if (firstErrno.get() != 0) {
      throw new IllegalStateException("the device: " + Errno.text(firstErrno.get()));
    }
    return bytes * TimeUnit.SECONDS.toNanos(1) / (System.nanoTime() - start);
  }

  private static void ended(int errno, AtomicInteger firstErrno, Semaphore depth) {
    firstErrno.compareAndSet(0, errno);
    depth.release();
  }
}
