package jpcache.bench;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.LogReplay;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;

/**
 * How fast a log is replayed: {@code ReplayBench KEYS BLOCKS [CACHE]}. Writes a log of so many keys
 * of 4 KiB, at random among so many blocks, in full ksets, and prints keys a second of the reader
 * alone (which validates all), of the replay without extents, and of opening the cache. With a file
 * of 512 MiB for a cache, the log is left there for somebody else to replay.
 */
public final class ReplayBench {
  private static final int BLOCK = 4096;
  private static final int ROUNDS = 5;
  private static final int DATA_SEGMENT = 30;

  private ReplayBench() {}

  private interface Replay {
    void run();
  }

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws IOException {
    int keys = Integer.parseInt(args[0]);
    int blocks = Integer.parseInt(args[1]);
    if (args.length > 2) {
      try (PmemRegion region = PmemFiles.open(args[2], null)) {
        format(region, keys, blocks);
      }
      return;
    }
    Path file = Files.createTempFile(Path.of("/dev/shm"), "slow-", ".backing");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength((long) blocks * BLOCK);
    }
    try (MemoryRegion region = new MemoryRegion(Layout.MIN_DEVICE_BYTES);
        BackingDevice backing = BackingDevices.open(file.toString(), BackingOptions.readWrite())) {
      CacheMedia media = format(region, keys, blocks);
      for (int round = 0; round < ROUNDS; round++) {
        double reader = millionsASecond(keys, () -> read(media, backing.sizeBytes()));
        double replay =
            millionsASecond(
                keys, () -> LogReplay.run(media, backing.sizeBytes(), (kset, key) -> {}));
        double open =
            millionsASecond(keys, () -> Cache.open(region, backing, CacheOptions.defaults()));
        System.out.printf(
            "million keys a second: reader %.1f, replay without extents %.1f, open %.1f%n",
            reader, replay, open);
      }
    } finally {
      Files.delete(file);
    }
  }

  private static double millionsASecond(int keys, Replay replay) {
    long start = System.nanoTime();
    replay.run();
    return keys * 1e3 / (System.nanoTime() - start);
  }

  private static void read(CacheMedia media, long logicalBytes) {
    LogReader reader = new LogReader(media, media.keyTail(), logicalBytes);
    while (reader.next()) {
      // validated
    }
  }

  private static CacheMedia format(PmemRegion region, int keys, int blocks) {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    writeLog(region, media, keys, blocks);
    return media;
  }

  private static void writeLog(PmemRegion region, CacheMedia media, int keys, int blocks) {
    SplittableRandom random = new SplittableRandom(9);
    long generation = media.segments().generation(DATA_SEGMENT);
    Kset kset = new Kset();
    Kset last = new Kset();
    int segment = media.keyTail().cacheSegment();
    int offset = media.keyTail().offsetBytes();
    for (int key = 0; key < keys; key++) {
      kset.append(
          (long) random.nextInt(blocks) * BLOCK,
          BLOCK,
          0,
          DATA_SEGMENT,
          random.nextInt(4000) * BLOCK,
          generation,
          0);
      if (kset.isFull() || key == keys - 1) {
        kset.seal();
        long at = media.segments().dataOffset(segment) + offset;
        region.persist(at, kset.address(), kset.sizeBytes());
        offset += kset.sizeBytes();
        kset.clear();
        if (offset + Layout.KSET_MAX_BYTES + Layout.KSET_HEADER_BYTES > Layout.SEGMENT_DATA_BYTES) {
          last.sealAsLast(segment + 1);
          at = media.segments().dataOffset(segment) + offset;
          region.persist(at, last.address(), Layout.KSET_HEADER_BYTES);
          segment++;
          offset = 0;
        }
      }
    }
  }
}
