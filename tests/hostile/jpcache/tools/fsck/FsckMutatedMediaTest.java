package jpcache.tools.fsck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.MemoryBacking;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import jpcache.tools.rescue.Rescue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage and forgery: the check always comes to its end, what it repairs stays repaired, and
 * media that it calls sound are read by everybody else.
 */
class FsckMutatedMediaTest {
  private static final long NANOS = 8_000_000_000L;
  private static final int LOGICAL_BYTES = 16 << 20;
  private static final int SAVED_BYTES = 32 << 10;
  private static final int[] LOG = {0, 4, 9};

  private static final long[] SPECIAL = {
    0,
    1,
    2,
    4,
    9,
    30,
    31,
    128,
    129,
    512,
    Layout.SEGMENT_DATA_BYTES - 24,
    Layout.SEGMENT_DATA_BYTES,
    4 << 20,
    LOGICAL_BYTES,
    Integer.MAX_VALUE,
    -512,
    -1
  };

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);
  private final List<Structure> structures = new ArrayList<>();
  private int sound;
  private int repaired;

  @Test
  void whateverTheMediaHoldTheCheckEndsAndARepairHoldsAndSoundMediaAreRead() {
    try (MediaBuilder m = MediaBuilder.create(shm.resolve("cache"), MediaBuilder.SMALL_BYTES)) {
      build(m);
      byte[][] saved = save(m);
      long until = System.nanoTime() + NANOS;
      // On a machine with other work it goes on until there were enough of each kind.
      for (long round = 0; System.nanoTime() < until || sound <= 10 || repaired <= 10; round++) {
        for (int n = 1 + random.nextInt(3); n > 0; n--) {
          damage(m, structures.get(random.nextInt(structures.size())));
        }
        try {
          round(m);
        } catch (RuntimeException | Error e) {
          throw new AssertionError("round " + round + ", seed " + seed, e);
        }
        restore(m, saved);
      }
    }
  }

  private void round(MediaBuilder m) {
    boolean cutLog = random.nextBoolean();
    FsckReport first = check(m, cutLog);
    if (first.repair(new MemoryRegion(m.media())) > 0) {
      repaired++;
      FsckReport second = check(m, cutLog);
      assertEquals(
          List.of(),
          second.phases().stream()
              .flatMap(phase -> phase.findings().stream())
              .filter(finding -> finding.repair() != null)
              .toList(),
          () -> "a repair does not come twice; first " + Problems.in(first));
    }
    if (check(m, false).problems() == 0) {
      sound++;
      CacheMedia media = CacheMedia.read("cache", m.view());
      LogReplay.run(media, LOGICAL_BYTES, (kset, key) -> {});
      Rescue.Options options = new Rescue.Options(false, false, 2);
      new Rescue(media, backing(), options, FsckMutatedMediaTest::allow, (done, of) -> {})
          .run(new MemoryRegion(m.media()));
      assertEquals(List.of(), Problems.in(check(m, false)), "after a rescue");
    }
  }

  /** What a torn key set keeps from the log is for a person to judge, as fsck's notice says. */
  private static void allow(String notice) {
    assertTrue(notice.contains(" is followed by valid ones: "), notice);
  }

  private FsckReport check(MediaBuilder m, boolean cutLog) {
    return new Fsck("cache", m.view(), backing(), cutLog, phase -> {}).run();
  }

  /** Zeros, as all data in the cache is: what is checked here is the metadata. */
  private static MemoryBacking backing() {
    return new MemoryBacking(new byte[LOGICAL_BYTES]);
  }

  private void build(MediaBuilder m) {
    structures.add(MediaBuilder.superblockAt());
    for (int replica = 0; replica < 2; replica++) {
      structures.add(MediaBuilder.cacheInfoAt(replica));
      for (int segment : new int[] {0, 9, 12}) {
        structures.add(MediaBuilder.segmentInfoAt(segment, replica));
        structures.add(MediaBuilder.generationAt(segment, replica));
      }
      for (int weight = 0; weight < 4; weight++) {
        structures.add(MediaBuilder.keyTailAt(replica));
        structures.add(MediaBuilder.dirtyTailAt(replica));
      }
    }
    m.generation(12, 3);
    for (int i = 0; i < LOG.length; i++) {
      int at = 0;
      for (int kset = 0; kset < 5; kset++) {
        LogKey[] keys = new LogKey[1 + random.nextInt(5)];
        for (int key = 0; key < keys.length; key++) {
          long off = random.nextInt(LOGICAL_BYTES >> 22) * (4L << 20) + 512L * random.nextInt(4096);
          int segment = 10 + random.nextInt(4);
          keys[key] =
              new LogKey(
                  off,
                  512 * (1 + random.nextInt(64)),
                  0,
                  segment,
                  512 * random.nextInt(1000),
                  segment == 12 ? 2 + random.nextInt(2) : 0,
                  0);
        }
        Structure stored = m.kset(LOG[i], at, keys);
        structures.add(stored);
        at += stored.sizeBytes();
      }
      if (i + 1 < LOG.length) {
        structures.add(m.lastKset(LOG[i], at, LOG[i + 1]));
      } else {
        // The place of the head, which is no structure: damage there is a torn end.
        structures.add(MediaBuilder.ksetAt(LOG[i], at, 0));
      }
    }
    m.dirtyTail(4, 0);
  }

  private void damage(MediaBuilder m, Structure structure) {
    MemorySegment bytes = m.media().asSlice(structure.offsetBytes(), structure.sizeBytes());
    long at = random.nextLong(structure.sizeBytes() / 4) * 4;
    switch (random.nextInt(3)) {
      case 0 ->
          bytes.set(
              ValueLayout.JAVA_INT_UNALIGNED,
              at,
              bytes.get(ValueLayout.JAVA_INT_UNALIGNED, at) ^ 1 << random.nextInt(32));
      case 1 ->
          bytes.set(
              ValueLayout.JAVA_INT_UNALIGNED, at, (int) SPECIAL[random.nextInt(SPECIAL.length)]);
      default ->
          bytes.set(
              ValueLayout.JAVA_LONG_UNALIGNED,
              Math.min(at, structure.sizeBytes() - Long.BYTES),
              SPECIAL[random.nextInt(SPECIAL.length)]);
    }
    if (random.nextInt(4) != 0) {
      m.seal(structure);
    }
  }

  private static long start(int part) {
    return part == 0 ? 0 : Layout.SEGMENTS_OFFSET + (part - 1) * Layout.SEGMENT_BYTES;
  }

  private static int length(int part) {
    return part == 0 ? (int) Layout.SEGMENTS_OFFSET : SAVED_BYTES;
  }

  private static byte[][] save(MediaBuilder m) {
    byte[][] saved = new byte[MediaBuilder.SMALL_SEGMENTS + 1][];
    for (int part = 0; part < saved.length; part++) {
      saved[part] = m.media().asSlice(start(part), length(part)).toArray(ValueLayout.JAVA_BYTE);
    }
    return saved;
  }

  private static void restore(MediaBuilder m, byte[][] saved) {
    for (int part = 0; part < saved.length; part++) {
      m.media().asSlice(start(part), length(part)).copyFrom(MemorySegment.ofArray(saved[part]));
    }
  }
}
