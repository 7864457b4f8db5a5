package jpcache.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.SplittableRandom;
import jpcache.backing.PatternBacking;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;

/**
 * What a cache of so many extents of 4 KiB costs: {@code ScaleBench EXTENTS DIRECTORY}. Writes a
 * log of ten keys to a kset, in an order that looks random, opens it, and does read hits and writes
 * at random places. Prints one line, fields separated by tabs: extents, ksets, seconds for opening,
 * bytes of heap an extent, then nanoseconds of 4 KiB: read hit, the same copy without the engine,
 * write in batches of 32, the same without the engine.
 *
 * <p>A hundred million blocks would be 381 GiB, so keys share their data: all point to one of the
 * 262,144 blocks of 1 GiB, which no cache holds and every copy takes from memory. The region has a
 * few GiB more for what is written then, the DIRECTORY needs room for it and 43 bytes an extent.
 */
public final class ScaleBench {
  private static final int BLOCK = 4096;
  private static final int BATCH = 32;
  private static final int KSET_KEYS = 10;
  private static final int SLICE = 16_000;
  private static final int SLICES = 6;
  private static final int WARM_UP_SLICES = 6;

  private static final int DATA_SEGMENTS = 65;
  private static final int SEGMENT_BLOCKS = Layout.SEGMENT_DATA_BYTES / BLOCK;

  /** For what is written, and keys of it. */
  private static final int FREE_SEGMENTS =
      (int) ((long) (SLICES + WARM_UP_SLICES) * SLICE * BLOCK / Layout.SEGMENT_DATA_BYTES) + 64;

  private static final Completion DONE =
      errno -> {
        if (errno != 0) {
          throw new IllegalStateException("error " + errno);
        }
      };

  private final PmemRegion region;
  private final int extents;
  private final MemorySegment buffers;
  private final SplittableRandom random = new SplittableRandom(3);

  private ScaleBench(PmemRegion region, int extents, MemorySegment buffers) {
    this.region = region;
    this.extents = extents;
    this.buffers = buffers;
  }

  public static void main(String[] args) throws IOException {
    int extents = Integer.parseInt(args[0]);
    Path directory = Files.createTempDirectory(Path.of(args[1]), "jpcache-scale-");
    Path file = directory.resolve("cache");
    long ksets = ((long) extents + KSET_KEYS - 1) / KSET_KEYS;
    long logBytes = ksets * (Layout.KSET_HEADER_BYTES + (long) KSET_KEYS * Layout.KEY_BYTES);
    // A segment is left when the next kset might not fit.
    int logSegments = (int) (logBytes / (Layout.SEGMENT_DATA_BYTES - Layout.KSET_MAX_BYTES)) + 2;
    long segments = (long) logSegments + DATA_SEGMENTS + FREE_SEGMENTS;
    long bytes = Layout.MIN_DEVICE_BYTES + segments * Layout.SEGMENT_BYTES;
    try (Arena arena = Arena.ofConfined();
        PmemRegion region = PmemFiles.create(file.toString(), bytes, null)) {
      MemorySegment buffers = arena.allocate((long) BATCH * BLOCK, BLOCK).fill((byte) 0x5A);
      new ScaleBench(region, extents, buffers).run(logSegments);
    } finally {
      Files.deleteIfExists(file);
      Files.delete(directory);
    }
  }

  @SuppressWarnings("SystemOut") // a program
  private void run(int logSegments) {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 90);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    makePages(media, logSegments);
    writeLog(media, logSegments);
    PatternBacking backing = new PatternBacking((long) extents * BLOCK);
    CacheOptions options = CacheOptions.defaults().withLanes(1);
    long before = usedHeapBytes();
    long begin = System.nanoTime();
    Cache cache = Cache.open(region, backing, options);
    double openSeconds = (System.nanoTime() - begin) / 1e9;
    double heap = (double) (usedHeapBytes() - before) / extents;
    double rawRead = nanos(i -> rawRead(media, logSegments, i));
    try (BlockQueue queue = cache.openQueue()) {
      double read = nanos(i -> queue.read(randomBlock(), BLOCK, buffer(i), DONE));
      double write = nanos(i -> write(queue, i));
      // Over the data that keys share, which is no longer needed.
      double rawWrite =
          nanos(i -> region.persist(dataPlace(media, logSegments, i), buffer(i), BLOCK));
      System.out.printf(
          Locale.ROOT,
          "%d\t%d\t%.3f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f%n",
          extents,
          (extents + KSET_KEYS - 1) / KSET_KEYS,
          openSeconds,
          heap,
          read,
          rawRead,
          write,
          rawWrite);
    }
    cache.close();
  }

  /** Writes once to all that is not log, so that no page of it is new to the kernel. */
  private void makePages(CacheMedia media, int logSegments) {
    for (int segment = logSegments; segment < media.segments().count(); segment++) {
      for (int block = 0; block < SEGMENT_BLOCKS; block++) {
        long place = media.segments().dataOffset(segment) + (long) block * BLOCK;
        region.persist(place, buffers.address(), BLOCK);
      }
    }
  }

  private interface Operation {
    void run(int i);
  }

  /** The median of some slices, once the JIT has seen others. */
  private static double nanos(Operation operation) {
    double[] all = new double[SLICES];
    for (int slice = -WARM_UP_SLICES; slice < SLICES; slice++) {
      long begin = System.nanoTime();
      for (int i = 0; i < SLICE; i++) {
        operation.run(i);
      }
      all[Math.max(0, slice)] = (double) (System.nanoTime() - begin) / SLICE;
    }
    Arrays.sort(all);
    return all[SLICES / 2];
  }

  private void write(BlockQueue queue, int i) {
    queue.write(randomBlock(), BLOCK, buffer(i), false, DONE);
    if (i % BATCH == BATCH - 1) {
      queue.commit();
    }
  }

  private void rawRead(CacheMedia media, int logSegments, int i) {
    long from = dataPlace(media, logSegments, random.nextInt(DATA_SEGMENTS * SEGMENT_BLOCKS));
    PmemReads.copy(region.view(), from, buffer(i), BLOCK);
  }

  private long randomBlock() {
    return (long) random.nextInt(extents) * BLOCK;
  }

  private long buffer(int i) {
    return buffers.address() + (long) (i % BATCH) * BLOCK;
  }

  private static long dataPlace(CacheMedia media, int logSegments, int block) {
    int segment = logSegments + block / SEGMENT_BLOCKS % DATA_SEGMENTS;
    return media.segments().dataOffset(segment) + (long) (block % SEGMENT_BLOCKS) * BLOCK;
  }

  /** A clean key for each block of the device. */
  private void writeLog(CacheMedia media, int logSegments) {
    Kset kset = new Kset();
    Kset last = new Kset();
    int segment = media.keyTail().cacheSegment();
    int offset = media.keyTail().offsetBytes();
    long step = strideWithoutCommonDivisor();
    long block = 0;
    for (int key = 0; key < extents; key++) {
      int data = random.nextInt(DATA_SEGMENTS * SEGMENT_BLOCKS);
      int dataSegment = logSegments + data / SEGMENT_BLOCKS;
      kset.append(
          block * BLOCK,
          BLOCK,
          Layout.KEY_FLAG_CLEAN,
          dataSegment,
          data % SEGMENT_BLOCKS * BLOCK,
          media.segments().generation(dataSegment),
          0);
      block = (block + step) % extents;
      if (key % KSET_KEYS == KSET_KEYS - 1 || key == extents - 1) {
        kset.seal();
        store(media, segment, offset, kset);
        offset += kset.sizeBytes();
        kset.clear();
        if (offset + Layout.KSET_MAX_BYTES + Layout.KSET_HEADER_BYTES > Layout.SEGMENT_DATA_BYTES) {
          last.sealAsLast(++segment);
          store(media, segment - 1, offset, last);
          offset = 0;
        }
      }
    }
  }

  private void store(CacheMedia media, int segment, int offset, Kset kset) {
    region.persist(media.segments().dataOffset(segment) + offset, kset.address(), kset.sizeBytes());
  }

  /** A walk by such steps meets every block once, in an order that looks random. */
  private long strideWithoutCommonDivisor() {
    long step = 0x9E3779B1L;
    while (gcd(step, extents) != 1) {
      step += 2;
    }
    return step;
  }

  private static long gcd(long a, long b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  private static long usedHeapBytes() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }
}
