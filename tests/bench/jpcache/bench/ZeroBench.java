package jpcache.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import jpcache.backing.TestDevice;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.KernelStatus;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;

/**
 * A whole device is discarded in one request, as mkfs does: how long that takes, what it takes of
 * the log and of the heap, how long write-back and the next opening take. The backing device does
 * nothing.
 *
 * <p>Arguments: the device's size in GiB, and 1 for data crc.
 */
public final class ZeroBench {
  private ZeroBench() {}

  public static void main(String[] arguments) throws Exception {
    long bytes = Long.parseLong(arguments[0]) << 30;
    boolean dataCrc = arguments.length > 1 && arguments[1].equals("1");
    for (int round = 0; round < 3; round++) {
      Path directory = Files.createTempDirectory(Path.of("/dev/shm"), "zeroes-bench");
      Path file = directory.resolve("cache");
      try (PmemRegion region = PmemFiles.create(file.toString(), 1L << 30, null)) {
        MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, 70);
        round(region, bytes);
      } finally {
        Files.delete(file);
        Files.delete(directory);
      }
    }
  }

  private static void round(PmemRegion region, long bytes) {
    Nothing backing = new Nothing(bytes);
    long heap = usedHeap();
    Cache cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
    long start = System.nanoTime();
    try (BlockQueue queue = cache.openQueue()) {
      int[] errno = {-1};
      queue.writeZeroes(0, bytes, true, false, e -> errno[0] = e);
      queue.commit();
      long byCaller = System.nanoTime() - start;
      while (errno[0] < 0) {
        cache.maintenance().step(System.nanoTime());
      }
      double seconds = seconds(start);
      long keys = bytes >> 22;
      KernelStatus status = cache.status();
      System.out.printf(
          "%d GiB: %d keys in %.3f s (%.2f M keys/s), %.3f s of them on the caller's thread;"
              + " key_head %s, %d segments used, %d bytes of heap a key%n",
          bytes >> 30,
          keys,
          seconds,
          keys / seconds / 1e6,
          byCaller / 1e9,
          status.keyHead(),
          status.segmentsUsed(),
          (usedHeap() - heap) / keys);
    }
    start = System.nanoTime();
    Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
    System.out.printf("  opened again in %.3f s%n", seconds(start));
    start = System.nanoTime();
    int errno = cache.maintenance().writeBackAll();
    System.out.printf(
        "  written back in %.3f s (errno %d): %d requests, %d flushes%n",
        seconds(start), errno, backing.zeroes, backing.flushes);
  }

  private static double seconds(long startNanos) {
    return (System.nanoTime() - startNanos) / (double) TimeUnit.SECONDS.toNanos(1);
  }

  private static long usedHeap() {
    System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  /** A device that answers and holds nothing. */
  private static final class Nothing extends TestDevice {
    private final long sizeBytes;
    private int zeroes;
    private int flushes;

    Nothing(long sizeBytes) {
      super("nothing");
      this.sizeBytes = sizeBytes;
    }

    @Override
    public long sizeBytes() {
      return sizeBytes;
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(0);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(0);
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
      zeroes++;
      done.complete(0);
    }

    @Override
    public void flush(Completion done) {
      flushes++;
      done.complete(0);
    }
  }
}
