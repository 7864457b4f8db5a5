package jpcache.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import jpcache.backing.PatternBacking;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemRegion;

/**
 * What a cache of very many extents costs in the heap with the whole engine at work: {@code
 * EngineHeapBench EXTENTS SECONDS [DIRECTORY]}. Writes so many blocks of 4 KiB in an order that
 * looks random, then overwrites at random for so many seconds while write-back and garbage
 * collection go on, and prints bytes of heap for a block after both, and how often the collectors
 * ran.
 *
 * <p>Ten million blocks would be 40 GiB, which few machines have to spare; so their data is not
 * stored. The region is a sparse file that takes key sets and metadata alone, some 300 MiB of it,
 * and nothing reads the data.
 */
public final class EngineHeapBench {
  private static final int BLOCK = 4096;
  private static final int BATCH = 32;
  private static final Completion DONE =
      errno -> {
        if (errno != 0) {
          throw new IllegalStateException("error " + errno);
        }
      };

  private EngineHeapBench() {}

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws IOException, InterruptedException {
    int blocks = Integer.parseInt(args[0]);
    long seconds = Long.parseLong(args[1]);
    Path directory = Path.of(args.length > 2 ? args[2] : "/dev/shm");
    Path file = Files.createTempFile(directory, "jpcache-heap-", ".pmem");
    try (Arena arena = Arena.ofShared();
        FileChannel channel =
            FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      // Twice the blocks: the log and what has been overwritten need room too.
      long sizeBytes = (2L * blocks * BLOCK + (1L << 30)) & -(1L << 24);
      MemorySegment memory = channel.map(MapMode.READ_WRITE, 0, sizeBytes, arena);
      MemorySegment data = arena.allocate(BATCH * BLOCK);
      run(new KeysOnly(memory, data), data, blocks, seconds);
    } finally {
      Files.delete(file);
    }
  }

  @SuppressWarnings("SystemOut")
  private static void run(PmemRegion region, MemorySegment data, int blocks, long seconds)
      throws InterruptedException {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    long before = usedHeapBytes();
    Cache cache =
        Cache.open(
            region,
            new PatternBacking((long) blocks * BLOCK),
            CacheOptions.defaults().withLanes(1));
    boolean[] stopped = {false};
    Thread maintenance =
        Thread.ofPlatform()
            .start(() -> {
              while (!stopped[0]) {
                LockSupport.parkNanos(cache.maintenance().step(System.nanoTime()));
              }
            });
    cache.setWakeUp(() -> LockSupport.unpark(maintenance));
    long collections = collections(false);
    long fullCollections = collections(true);
    try (BlockQueue queue = cache.openQueue()) {
      long step = 0x9E3779B1L;
      while (gcd(step, blocks) != 1) {
        step += 2;
      }
      long block = 0;
      long begin = System.nanoTime();
      for (int i = 0; i < blocks; i++) {
        write(queue, data, block, i);
        block = (block + step) % blocks;
      }
      queue.commit();
      System.out.printf(
          "filled     %.2f million a second%n", blocks * 1e3 / (System.nanoTime() - begin));
      System.out.printf(
          "           %d collections, %d of them full%n",
          collections(false) - collections, collections(true) - fullCollections);
      System.out.printf("           %.1f bytes of heap a block%n", perBlock(before, blocks));

      collections = collections(false);
      fullCollections = collections(true);
      SplittableRandom random = new SplittableRandom(5);
      long overwrites = 0;
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
      while (System.nanoTime() < end) {
        for (int i = 0; i < 100 * BATCH; i++) {
          write(queue, data, random.nextInt(blocks), i);
        }
        overwrites += 100 * BATCH;
      }
      queue.commit();
      System.out.printf(
          "overwrites %.2f million a second; %d collections, %d of them full%n",
          overwrites / 1e6 / seconds,
          collections(false) - collections,
          collections(true) - fullCollections);
      System.out.printf("then       %.1f bytes of heap a block%n", perBlock(before, blocks));
      System.out.println("status     " + cache.status().line());
    }
    stopped[0] = true;
    LockSupport.unpark(maintenance);
    maintenance.join();
  }

  private static void write(BlockQueue queue, MemorySegment data, long block, int i) {
    long address = data.address() + (long) (i % BATCH) * BLOCK;
    queue.write(block * BLOCK, BLOCK, address, false, DONE);
    if (i % BATCH == BATCH - 1) {
      queue.commit();
    }
  }

  private static long gcd(long a, long b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  private static double perBlock(long before, int blocks) {
    return (double) (usedHeapBytes() - before) / blocks;
  }

  private static long usedHeapBytes() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  private static long collections(boolean full) {
    return ManagementFactory.getGarbageCollectorMXBeans().stream()
        .filter(bean -> !full || bean.getName().contains("Old"))
        .mapToLong(GarbageCollectorMXBean::getCollectionCount)
        .sum();
  }

  /** Stores everything but the blocks' data. */
  private record KeysOnly(MemorySegment memory, MemorySegment data) implements PmemRegion {
    @Override
    public String name() {
      return "sparse";
    }

    @Override
    public long sizeBytes() {
      return memory.byteSize();
    }

    @Override
    public Kind kind() {
      return Kind.EMULATED;
    }

    @Override
    public long address() {
      return memory.address();
    }

    @Override
    public MemorySegment view() {
      return memory.asReadOnly();
    }

    @Override
    public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
      long offset = sourceAddress - data.address();
      if (offset < 0 || offset >= data.byteSize()) {
        MemorySegment source = MemorySegment.ofAddress(sourceAddress).reinterpret(lengthBytes);
        MemorySegment.copy(source, 0, memory, offsetBytes, lengthBytes);
      }
    }

    @Override
    public void drain() {}

    @Override
    public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
      copy(offsetBytes, sourceAddress, lengthBytes);
    }

    @Override
    public void close() {}
  }
}
