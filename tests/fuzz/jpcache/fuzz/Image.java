package jpcache.fuzz;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import jpcache.Golden;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Kset;
import jpcache.media.LogReader;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;

/**
 * Sound media from which inputs start, and the places on them that are worth damaging. The files
 * have no names any more: nothing is left of them, however the process ends.
 *
 * @param structures at most {@link #MOST_STRUCTURES}; metadata first, then ksets
 */
record Image(FileChannel cache, FileChannel backing, List<Structure> structures) {
  static final int MOST_STRUCTURES = 256;

  private static final int BACKING_BYTES = 5 << 20;
  private static final int MOST_BYTES_OF_A_WRITE = 64 << 10;
  private static final int[] LOG = {0, 4, 9, 30, 2};

  /** Of small ones, most numbers; of the kernel's, which are large and slow to use, the others. */
  static final int FIRST_OF_GOLDEN = 0xF0;

  private static final class Small {
    static final List<Image> ALL =
        List.of(make(media -> {}), make(Image::writeLog), make(Image::runEngine));
  }

  private static final class Large {
    static final List<Image> ALL = Golden.all().stream().map(Image::of).toList();
  }

  /** The image of a number from 0 to 255. */
  static Image of(int number) {
    List<Image> some = number < FIRST_OF_GOLDEN ? Small.ALL : Large.ALL;
    return some.get(number % some.size());
  }

  /** An empty cache, one that tests made, and one that the engine made. */
  static List<Image> small() {
    return Small.ALL;
  }

  /** What the kernel made. */
  static List<Image> large() {
    return Large.ALL;
  }

  private static Image of(Golden golden) {
    return inDirectory(directory -> {
      Golden.Copy copy = golden.unpack(directory);
      return of(copy.cache(), copy.backing());
    });
  }

  private interface Maker {
    Image make(Path directory) throws IOException;
  }

  private static Image inDirectory(Maker maker) {
    try {
      Path directory = Files.createTempDirectory(Path.of("/dev/shm"), "jpcache-fuzz-");
      try {
        return maker.make(directory);
      } finally {
        Files.delete(directory);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Image make(Consumer<MediaBuilder> author) {
    return inDirectory(directory -> {
      Path cache = directory.resolve("cache");
      Path backing = directory.resolve("backing");
      try (RandomAccessFile file = new RandomAccessFile(backing.toFile(), "rw")) {
        file.setLength(BACKING_BYTES);
      }
      try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
        author.accept(media);
      }
      return of(cache, backing);
    });
  }

  private static Image of(Path cache, Path backing) throws IOException {
    List<Structure> structures;
    try (MediaBuilder media = MediaBuilder.open(cache, false)) {
      structures = structures(media);
    }
    Image image = new Image(open(cache), open(backing), structures);
    Files.delete(cache);
    Files.delete(backing);
    return image;
  }

  private static FileChannel open(Path file) throws IOException {
    return FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }

  /** Small ksets in five segments; overlapping, clean and stale keys. */
  private static void writeLog(MediaBuilder media) {
    SplittableRandom random = new SplittableRandom(1);
    media.generation(12, 3);
    for (int i = 0; i < LOG.length; i++) {
      int at = 0;
      for (int kset = 0; kset < 4; kset++) {
        LogKey[] keys = new LogKey[1 + random.nextInt(6)];
        for (int key = 0; key < keys.length; key++) {
          int segment = 10 + random.nextInt(4);
          keys[key] =
              new LogKey(
                  random.nextInt(2) * (4L << 20) + 512L * random.nextInt(1900),
                  512 * (1 + random.nextInt(64)),
                  i == 0 && random.nextInt(4) == 0 ? 2 : 0,
                  segment,
                  512 * random.nextInt(1000),
                  segment == 12 ? 2 + random.nextInt(2) : 0,
                  0);
        }
        at += media.kset(LOG[i], at, keys).sizeBytes();
      }
      if (i + 1 < LOG.length) {
        media.lastKset(LOG[i], at, LOG[i + 1]);
      }
    }
    media.dirtyTail(LOG[1], 0);
  }

  /** What a server leaves that was killed: data crcs, fills, a part written back. */
  private static void runEngine(MediaBuilder media) {
    SplittableRandom random = new SplittableRandom(2);
    MemoryRegion region = new MemoryRegion(media.media());
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 70);
    try (Arena arena = Arena.ofConfined()) {
      SegmentBacking backing = new SegmentBacking(arena.allocate(BACKING_BYTES));
      MemorySegment buffer = arena.allocate(MOST_BYTES_OF_A_WRITE);
      Cache cache =
          Cache.open(region, backing, CacheOptions.defaults().withLanes(2).withWriteBack(0, 0));
      BlockQueue queue = cache.openQueue();
      for (int i = 0; i < 60; i++) {
        buffer.set(ValueLayout.JAVA_INT, 0, i);
        int bytes = 512 * (1 + random.nextInt(MOST_BYTES_OF_A_WRITE / 512));
        long at = 512L * random.nextInt((BACKING_BYTES - bytes) / 512 + 1);
        if (random.nextInt(4) == 0) {
          queue.read(at, bytes, buffer.address(), errno -> {});
        } else {
          queue.write(at, bytes, buffer.address(), false, errno -> {});
        }
        queue.commit();
        if (i == 30) {
          int _ = cache.maintenance().writeBackAll();
        }
      }
      queue.close();
    }
  }

  private static List<Structure> structures(MediaBuilder media) {
    List<Structure> all = new ArrayList<>();
    all.add(MediaBuilder.superblockAt());
    for (int replica = 0; replica < 2; replica++) {
      all.add(MediaBuilder.cacheInfoAt(replica));
      all.add(MediaBuilder.keyTailAt(replica));
      all.add(MediaBuilder.dirtyTailAt(replica));
      for (int segment : new int[] {0, 4, 9, 12, 30}) {
        all.add(MediaBuilder.segmentInfoAt(segment, replica));
        all.add(MediaBuilder.generationAt(segment, replica));
      }
    }
    all.add(new Structure(0, 4096)); // the label
    CacheMedia read = CacheMedia.read("cache", media.view());
    LogReader reader = new LogReader(read, read.keyTail(), Long.MAX_VALUE);
    List<Structure> log = new ArrayList<>();
    while (reader.next()) {
      log.add(kset(read, reader, Kset.sizeBytes(reader.kset().keyCount())));
    }
    int room = MOST_STRUCTURES - 1 - all.size();
    all.addAll(log.subList(Math.max(0, log.size() - room), log.size()));
    all.add(kset(read, reader, Kset.sizeBytes(0))); // the log's end
    return List.copyOf(all);
  }

  private static Structure kset(CacheMedia media, LogReader reader, int bytes) {
    var place = bytes == Kset.sizeBytes(0) ? reader.head() : reader.ksetPosition();
    return new Structure(
        media.segments().dataOffset(place.cacheSegment()) + place.offsetBytes(), bytes);
  }

  /** The bytes of the backing device, to store into: privately, while the arena lives. */
  MemorySegment mapBacking(Arena arena) {
    try {
      return backing.map(MapMode.PRIVATE, 0, backing.size(), arena);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
