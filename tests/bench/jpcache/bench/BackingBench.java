package jpcache.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.LongAdder;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.backing.BackingOptions.Way;
import jpcache.backing.SyncBacking;
import jpcache.base.Completion;

/**
 * Random requests to a backing file at a fixed depth, by the number of the device's threads: the
 * table in docs/backing.md. Not a microbenchmark, hence without JMH.
 *
 * <p>Arguments: a directory on the disk to measure, and seconds per cell.
 */
public final class BackingBench {
  private static final int FILE_BYTES = 512 << 20;
  private static final int DEPTH = 128;
  private static final int REQUEST_BYTES = 4096;

  private BackingBench() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    Path directory = Path.of(args.length > 0 ? args[0] : "target");
    double seconds = args.length > 1 ? Double.parseDouble(args[1]) : 2;
    Path file = Files.createTempFile(directory, "backing-bench", ".img");
    try {
      fill(file);
      System.out.println(
          "way    depth  read IOPS  us CPU  write IOPS  us CPU  unaligned IOPS  us CPU");
      for (int depth : new int[] {1, 4, 8, 16, 32, 64, 128}) {
        for (Way way : new Way[] {Way.POOL, Way.URING}) {
          StringBuilder row =
              new StringBuilder(String.format(Locale.ROOT, "%-5s  %5d", way, depth));
          for (Kind kind : Kind.values()) {
            try (BackingDevice device = open(file, way, depth)) {
              run(device, kind, seconds / 4); // warm
              row.append(run(device, kind, seconds));
            }
          }
          System.out.println(row);
        }
      }
    } finally {
      Files.delete(file);
    }
  }

  private enum Kind {
    READ,
    WRITE,
    /** Reads into memory that O_DIRECT does not take. */
    BOUNCED_READ
  }

  private static BackingDevice open(Path file, Way way, int depth) {
    return BackingDevices.open(
        file.toString(), BackingOptions.readWrite().withWay(way).withDepth(depth));
  }

  private static void fill(Path file) throws IOException {
    Files.write(file, new byte[4096]);
    try (var channel = Files.newByteChannel(file, StandardOpenOption.WRITE)) {
      channel.position(FILE_BYTES - 1L).write(ByteBuffer.allocate(1));
    }
    int chunkBytes = 8 << 20;
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(file, Way.AUTO, 1)) {
      MemorySegment chunk = arena.allocate(chunkBytes, 4096).fill((byte) 0x5A);
      for (int at = 0; at < FILE_BYTES; at += chunkBytes) {
        SyncBacking.write(device, at, chunkBytes, chunk.address());
      }
      SyncBacking.flush(device);
    }
  }

  private static String run(BackingDevice device, Kind kind, double seconds)
      throws InterruptedException {
    Semaphore room = new Semaphore(DEPTH);
    LongAdder failures = new LongAdder();
    long requests = 0;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(DEPTH * (long) REQUEST_BYTES + 4096, 4096);
      long shift = kind == Kind.BOUNCED_READ ? 4 : 0;
      long cpu = cpuNanos();
      long start = System.nanoTime();
      while (System.nanoTime() - start < seconds * 1e9) {
        room.acquire();
        // Which buffer is of no matter: nobody looks at the data.
        long address = memory.address() + requests % DEPTH * REQUEST_BYTES + shift;
        long offset =
            ThreadLocalRandom.current().nextInt(FILE_BYTES / REQUEST_BYTES) * (long) REQUEST_BYTES;
        Completion done =
            errno -> {
              failures.add(errno);
              room.release();
            };
        if (kind == Kind.WRITE) {
          device.write(offset, REQUEST_BYTES, address, done);
        } else {
          device.read(offset, REQUEST_BYTES, address, done);
        }
        requests++;
      }
      room.acquire(DEPTH);
      double elapsed = System.nanoTime() - start;
      cpu = cpuNanos() - cpu;
      if (failures.sum() != 0) {
        throw new IllegalStateException("requests failed");
      }
      return String.format(
          Locale.ROOT, "  %9.0f  %6.1f", requests / elapsed * 1e9, cpu / 1e3 / requests);
    }
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
