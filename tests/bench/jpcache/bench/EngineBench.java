package jpcache.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import jpcache.backing.TestDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.cache.Durability;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The engine without NBD, one thread, 4 KiB at random places of 1 GiB, beside what the memory
 * itself does in the same process: the time of one operation.
 *
 * <p>An invocation is so many operations that a cache fills but does not overflow; each begins with
 * an empty cache on memory that has been touched.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5)
@Measurement(iterations = 10)
@Fork(
    value = 1,
    jvmArgsAppend = {
      "--enable-native-access=ALL-UNNAMED",
      "-Xms2g",
      "-Xmx2g",
      "-XX:+UseTransparentHugePages"
    })
public class EngineBench {
  private static final int BLOCK = 4096;
  private static final int OPERATIONS = 900_000;
  private static final int BATCH = 32;
  private static final long CACHE_BYTES = 4L << 30;
  private static final long LOGICAL_BYTES = 1L << 30;

  @Param({"false"})
  private boolean dataCrc;

  private final SplittableRandom random = new SplittableRandom(7);
  private final int[] blocks = new int[OPERATIONS];
  private final Completion done =
      errno -> {
        if (errno != 0) {
          throw new IllegalStateException("request failed: " + Errno.text(errno));
        }
      };

  private Path file;
  private PmemRegion region;
  private MemorySegment buffer;
  private BlockQueue queue;

  @Setup(Level.Trial)
  public void map() throws IOException {
    file = Files.createTempDirectory(Path.of("/dev/shm"), "jpcache-bench").resolve("cache");
    region = PmemFiles.create(file.toString(), CACHE_BYTES, null);
    buffer = Arena.global().allocate(BATCH * BLOCK, BLOCK);
    buffer.fill((byte) 1);
    for (int i = 0; i < OPERATIONS; i++) {
      blocks[i] = random.nextInt((int) (LOGICAL_BYTES / BLOCK));
    }
  }

  @Setup(Level.Invocation)
  public void emptyCache() {
    MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, 70);
    queue =
        Cache.open(
                region,
                new NoBacking(),
                CacheOptions.defaults().withLanes(1).withDurability(Durability.ACK))
            .openQueue();
  }

  @TearDown(Level.Trial)
  public void remove() throws IOException {
    region.close();
    Files.delete(file);
    Files.delete(file.getParent());
  }

  /** What the log-structured engine could be at best: one persist after the other. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void rawPersistSequential() {
    long at = 1 << 20;
    for (int i = 0; i < OPERATIONS; i++) {
      region.persist(at, buffer.address() + (long) (i % BATCH) * BLOCK, BLOCK);
      at += BLOCK;
    }
  }

  /** Batches of 32 writes, durable when each batch's commit returns. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void engineWriteBatch32() {
    write(BATCH);
  }

  /** One write, one commit. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void engineWriteBatch1() {
    write(1);
  }

  private void write(int batch) {
    for (int i = 0; i < OPERATIONS; i++) {
      long address = buffer.address() + (long) (i % BATCH) * BLOCK;
      queue.write((long) blocks[i] * BLOCK, BLOCK, address, false, done);
      if (i % batch == batch - 1) {
        queue.commit();
      }
    }
    queue.commit();
  }

  /** 4 KiB out of persistent memory, at places as random as the engine's. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void rawCopyOutRandom(Filled filled) {
    for (int i = 0; i < OPERATIONS; i++) {
      PmemReads.copy(
          filled.region.view(), (1 << 20) + (long) blocks[i] * BLOCK, buffer.address(), BLOCK);
    }
  }

  /** Reads that hit. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void engineReadHit(Filled filled) {
    for (int i = 0; i < OPERATIONS; i++) {
      filled.queue.read((long) blocks[i] * BLOCK, BLOCK, buffer.address(), done);
    }
  }

  /** A cache that holds all of the logical device, written in random order. */
  @State(Scope.Thread)
  public static class Filled {
    private Path file;
    private PmemRegion region;
    private BlockQueue queue;

    @Setup(Level.Trial)
    public void fill() throws IOException {
      file = Files.createTempDirectory(Path.of("/dev/shm"), "jpcache-bench").resolve("cache");
      region = PmemFiles.create(file.toString(), 2L << 30, null);
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
      queue =
          Cache.open(
                  region,
                  new NoBacking(),
                  CacheOptions.defaults().withLanes(1).withDurability(Durability.ACK))
              .openQueue();
      int count = (int) (LOGICAL_BYTES / BLOCK);
      int[] order = new int[count];
      SplittableRandom random = new SplittableRandom(3);
      for (int i = 0; i < count; i++) {
        int j = random.nextInt(i + 1);
        order[i] = order[j];
        order[j] = i;
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment data = arena.allocate(BLOCK);
        for (int block : order) {
          queue.write((long) block * BLOCK, BLOCK, data.address(), false, errno -> {});
          queue.commit();
        }
      }
    }

    @TearDown(Level.Trial)
    public void remove() throws IOException {
      region.close();
      Files.delete(file);
      Files.delete(file.getParent());
    }
  }

  /** A backing device that nothing ever reaches. */
  private static final class NoBacking extends TestDevice {
    NoBacking() {
      super("none");
    }

    @Override
    public long sizeBytes() {
      return LOGICAL_BYTES;
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EIO);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EIO);
    }

    @Override
    public void flush(Completion done) {
      done.complete(Errno.EIO);
    }
  }
}
