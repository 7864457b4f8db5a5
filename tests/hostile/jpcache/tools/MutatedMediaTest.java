package jpcache.tools;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.Writer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Golden;
import jpcache.Seeds;
import jpcache.backing.MemoryBacking;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage and random forgery, in metadata and log, with checksums made to fit and without:
 * whoever reads such media gets through or is told why not, soon.
 */
class MutatedMediaTest {
  private static final long SYNTHETIC_NANOS = 12_000_000_000L;
  private static final long GOLDEN_NANOS = 3_000_000_000L;
  private static final long LONGEST_NANOS = 10_000_000_000L;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final int LOGICAL_BYTES = 64 << 20;

  private static final int[] SPECIAL = {
    0,
    1,
    2,
    3,
    4,
    31,
    32,
    128,
    129,
    512,
    4096,
    Layout.SEGMENT_DATA_BYTES - 24,
    Layout.SEGMENT_DATA_BYTES,
    4 << 20,
    LOGICAL_BYTES,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    -512,
    -1
  };

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);
  private long refused;
  private long shown;

  private record Old(long at, MemorySegment bytes) {}

  private final Deque<Old> undo = new ArrayDeque<>();

  @Test
  void syntheticMediaInAnyStateAreShownOrRefused() {
    try (MediaBuilder media =
        MediaBuilder.create(directory.resolve("media"), MediaBuilder.SMALL_BYTES)) {
      writeLog(media);
      mutate(media, new byte[LOGICAL_BYTES], SYNTHETIC_NANOS);
    }
  }

  @Test
  void theKernelsMediaInAnyStateAreShownOrRefused() {
    Golden image = Golden.named("crc-dirty");
    try (MediaBuilder media = MediaBuilder.open(image.unpack(directory).cache(), false)) {
      mutate(media, new byte[(int) image.expect().backingBytes()], GOLDEN_NANOS);
    }
  }

  /** Small ksets through five segments, so that a change of one is likely to matter. */
  private void writeLog(MediaBuilder media) {
    int[] segments = {0, 4, 9, 30, 2};
    media.dirtyTail(4, 0);
    for (int i = 0; i < segments.length; i++) {
      int at = 0;
      for (int kset = 0; kset < 4; kset++) {
        LogKey[] keys = new LogKey[1 + random.nextInt(6)];
        for (int key = 0; key < keys.length; key++) {
          int len = 512 * (1 + random.nextInt(64));
          keys[key] =
              LogKey.of(
                  random.nextInt(LOGICAL_BYTES >> 22) * (4L << 20) + 512L * random.nextInt(4096),
                  len,
                  10 + random.nextInt(10),
                  512 * random.nextInt(1000));
        }
        at += media.kset(segments[i], at, keys).sizeBytes();
      }
      if (i + 1 < segments.length) {
        media.lastKset(segments[i], at, segments[i + 1]);
      }
    }
  }

  private void mutate(MediaBuilder media, byte[] backing, long nanos) {
    List<Structure> structures = structures(media);
    long until = System.nanoTime() + nanos;
    // On a machine with other work it goes on until there were enough of each kind.
    for (long round = 0; System.nanoTime() < until || refused <= 10 || shown <= 10; round++) {
      for (int n = 1 + random.nextInt(4); n > 0; n--) {
        // Mostly the log: what is before it, if wrong, ends the reading.
        int from = random.nextInt(3) == 0 ? 0 : structures.size() / 3;
        damage(media, structures.get(random.nextInt(from, structures.size())));
      }
      long start = THREADS.getCurrentThreadCpuTime();
      try {
        useWhole(media, backing);
        shown++;
      } catch (UserException e) {
        refused++;
        String message = String.valueOf(e.getMessage());
        assertTrue(!message.isBlank() && message.indexOf('\n') < 0, message);
      } catch (RuntimeException | Error e) {
        throw new AssertionError("round " + round + ", seed " + seed, e);
      }
      long took = THREADS.getCurrentThreadCpuTime() - start;
      assertTrue(took < LONGEST_NANOS, took + " ns in round " + round + ", seed " + seed);
      restore(media);
    }
  }

  /** All that the commands do with media. */
  private static void useWhole(MediaBuilder media, byte[] backing) {
    UserException failure = null;
    CacheMedia read = CacheMedia.read("cache", media.view());
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    for (Runnable use :
        List.<Runnable>of(
            () -> new Dump(read, new TextOutline(nowhere)).run(true),
            () -> new Dump(read, new JsonOutline(nowhere)).run(true),
            () -> DirtyData.bytes(read),
            () -> view(read, backing))) {
      try {
        use.run();
      } catch (UserException e) {
        failure = e;
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  private static void view(CacheMedia read, byte[] backing) {
    LogicalView view = new LogicalView(read, new MemoryBacking(backing));
    try (Arena arena = Arena.ofConfined()) {
      int chunkBytes = 8 << 20;
      MemorySegment chunk = arena.allocate(chunkBytes, 4096);
      for (long at = 0; at < view.sizeBytes(); at += 4L * chunkBytes) {
        view.read(at, chunk);
      }
    }
  }

  /** The metadata first, a third of the list or less, then the ksets. */
  private static List<Structure> structures(MediaBuilder media) {
    List<Structure> metadata = new ArrayList<>();
    metadata.add(MediaBuilder.superblockAt());
    for (int replica = 0; replica < 2; replica++) {
      metadata.add(MediaBuilder.cacheInfoAt(replica));
      metadata.add(MediaBuilder.keyTailAt(replica));
      metadata.add(MediaBuilder.dirtyTailAt(replica));
      for (int segment : new int[] {0, 4, 9, 30}) {
        metadata.add(MediaBuilder.segmentInfoAt(segment, replica));
        metadata.add(MediaBuilder.generationAt(segment, replica));
      }
    }
    List<Structure> log = new ArrayList<>();
    CacheMedia read = CacheMedia.read("cache", media.view());
    LogReader reader = new LogReader(read, read.keyTail(), Long.MAX_VALUE);
    while (reader.next()) {
      log.add(
          new Structure(
              read.segments().dataOffset(reader.ksetPosition().cacheSegment())
                  + reader.ksetPosition().offsetBytes(),
              Kset.sizeBytes(reader.kset().keyCount())));
    }
    List<Structure> all = new ArrayList<>(metadata);
    while (all.size() < 3 * metadata.size()) {
      all.addAll(log);
    }
    return all;
  }

  private void damage(MediaBuilder media, Structure structure) {
    MemorySegment bytes = media.media().asSlice(structure.offsetBytes(), structure.sizeBytes());
    undo.push(
        new Old(
            structure.offsetBytes(), MemorySegment.ofArray(bytes.toArray(ValueLayout.JAVA_BYTE))));
    long at = random.nextLong(structure.sizeBytes());
    switch (random.nextInt(4)) {
      case 0 ->
          bytes.set(
              ValueLayout.JAVA_BYTE,
              at,
              (byte) (bytes.get(ValueLayout.JAVA_BYTE, at) ^ (1 << random.nextInt(8))));
      case 1 -> bytes.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
      case 2 ->
          bytes.set(
              ValueLayout.JAVA_INT_UNALIGNED, at & -4, SPECIAL[random.nextInt(SPECIAL.length)]);
      default ->
          bytes.set(
              ValueLayout.JAVA_LONG_UNALIGNED,
              Math.min(at & -8, structure.sizeBytes() - 8),
              random.nextBoolean()
                  ? SPECIAL[random.nextInt(SPECIAL.length)]
                  : random.nextLong() >>> random.nextInt(64) << random.nextInt(16));
    }
    if (random.nextInt(4) != 0) {
      media.seal(structure);
    }
  }

  private void restore(MediaBuilder media) {
    while (!undo.isEmpty()) {
      Old old = undo.pop();
      MemorySegment.copy(old.bytes, 0, media.media(), old.at, old.bytes.byteSize());
    }
  }
}
