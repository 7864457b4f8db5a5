package jpcache.tools.rescue;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.BackingDevice;
import jpcache.backing.SimBacking;
import jpcache.base.Crc32c;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.SharedZeros;
import jpcache.pmem.MemoryRegion;
import jpcache.support.Power;
import jpcache.support.ShmDirectory;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Random logs, with large and small keys, over two segments, of which a part has been written back:
 * after a rescue the backing device alone is the logical device.
 */
class RescuePropertyTest {
  private static final int ROUNDS = 15;
  private static final int SECTOR = Layout.SECTOR_BYTES;
  private static final int LOGICAL_BYTES = 6 << 20;
  private static final int CRC_FLAGS = MediaBuilder.FLAGS | 1;

  /** Where the log is, in two pieces, and where the data is. */
  private static final int FIRST_LOG = 0;

  private static final int SECOND_LOG = 9;
  private static final int STALE = 5;
  private static final int ZEROS = 7;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private SplittableRandom random = new SplittableRandom(0);
  private final Power power = new Power();
  private int dataAt;
  private long zeroedBytes;
  private int blockBytes;

  @BeforeEach
  void seed() {
    random = new SplittableRandom(Seeds.next(RescuePropertyTest.class));
  }

  @ParameterizedTest
  @CsvSource({"512,512", "512,4096", "4096,4096"})
  void theBackingDeviceAloneIsTheLogicalDeviceAfterwards(int keyBlock, int deviceBlock)
      throws Exception {
    for (int round = 0; round < ROUNDS; round++) {
      Path file = shm.resolve("cache");
      try (MediaBuilder m = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES)) {
        SimBacking backing = randomDevices(m, keyBlock, deviceBlock);
        byte[] logical = view(m, backing);
        MemoryRegion region = new MemoryRegion(m.media());
        region.watch((offset, length) ->
            assertEquals(0, backing.unflushedWrites(), "dirty_tail waits for the flush"));
        Rescue.Summary planned = rescue(m, backing).dryRun();
        assertEquals(0, backing.writes(), "a dry run writes nothing");
        assertEquals(planned, rescue(m, backing).run(region));
        zeroedBytes += backing.zeroedBytes();
        check(m, backing, logical);
        assertEquals(
            new Rescue.Summary(0, 0, 0, 0), rescue(m, backing).run(region), "nothing is left");
      } finally {
        Files.delete(file);
      }
    }
    assertTrue(zeroedBytes > 0, "some of the zeros were not written");
  }

  @ParameterizedTest
  @CsvSource({"512,512", "512,4096", "4096,4096"})
  void cutOffAtRandomPointsAndRunAgainItEndsTheSame(int keyBlock, int deviceBlock)
      throws Exception {
    int cuts = 0;
    for (int round = 0; round < ROUNDS; round++) {
      Path file = shm.resolve("cache");
      try (MediaBuilder m = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES)) {
        SimBacking backing = randomDevices(m, keyBlock, deviceBlock);
        byte[] logical = view(m, backing);
        MemoryRegion region = new MemoryRegion(m.media());
        region.watch((offset, length) -> power.require());
        for (int life = 1; runFor(life, m, backing, region); life++) {
          cuts++;
          assertArrayEquals(logical, view(m, backing), "the view after cut " + life);
        }
        check(m, backing, logical);
      } finally {
        Files.delete(file);
      }
    }
    assertTrue(cuts > ROUNDS / 2, "most runs were cut off: " + cuts);
  }

  /** Lives grow longer, so that there is an end. Returns whether the run was cut off. */
  private boolean runFor(int life, MediaBuilder m, SimBacking backing, MemoryRegion region) {
    power.cutAfter(random.nextInt(10 * life));
    try {
      rescue(m, backing).run(region);
      return false;
    } catch (Power.Cut | UserException e) {
      return true;
    } finally {
      power.stay();
      backing.crash(random);
    }
  }

  private void check(MediaBuilder m, SimBacking backing, byte[] logical) {
    assertArrayEquals(logical, backing.durableBytes(), "the backing device alone");
    assertArrayEquals(logical, view(m, backing), "the view");
    FsckReport report = new Fsck("cache", m.view(), backing, false, phase -> {}).run();
    assertEquals(
        List.of(), report.phases().stream().flatMap(phase -> phase.findings().stream()).toList());
    CacheMedia media = CacheMedia.read("cache", m.view());
    assertTrue(
        report.phases().get(4).summary().endsWith("key_head " + media.dirtyTail()),
        "dirty_tail is key_head");
  }

  private Rescue rescue(MediaBuilder m, BackingDevice backing) {
    Rescue.Options options = new Rescue.Options(false, false, 3);
    return new Rescue(
        CacheMedia.read("cache", m.view()),
        backing,
        options,
        notice -> fail(notice),
        (done, of) -> {});
  }

  /** A log in two segments, and a backing device that has everything before dirty_tail. */
  private SimBacking randomDevices(MediaBuilder m, int keyBlock, int deviceBlock) {
    blockBytes = keyBlock;
    dataAt = 0;
    m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, CRC_FLAGS);
    m.generation(STALE, 2);
    SharedZeros.write(new MemoryRegion(m.media()), MediaBuilder.dataOffset(ZEROS));
    byte[] below = new byte[LOGICAL_BYTES];
    random.nextBytes(below);
    int ksets = 1 + random.nextInt(30);
    int written = random.nextInt(ksets + 1);
    int crossing = random.nextInt(ksets + 1);
    int segment = FIRST_LOG;
    int at = 0;
    for (int kset = 0; kset < ksets; kset++) {
      if (kset == crossing) {
        m.lastKset(segment, at, SECOND_LOG);
        segment = SECOND_LOG;
        at = 0;
      }
      if (kset == written) {
        m.dirtyTail(segment, at);
      }
      LogKey[] keys = new LogKey[1 + random.nextInt(12)];
      for (int i = 0; i < keys.length; i++) {
        keys[i] = key(m, below, kset < written);
      }
      m.kset(segment, at, keys);
      at += Kset.sizeBytes(keys.length);
    }
    if (written == ksets) {
      m.dirtyTail(segment, at);
    }
    return new SimBacking(below, deviceBlock, false, random.nextLong(), power);
  }

  private LogKey key(MediaBuilder m, byte[] below, boolean written) {
    int blocks = random.nextInt(20) == 0 ? (256 << 10) / blockBytes : 1 + random.nextInt(8);
    int length = blocks * blockBytes;
    int off = random.nextInt((LOGICAL_BYTES - length) / blockBytes + 1) * blockBytes;
    if (off % Layout.SUBTREE_BYTES + length > Layout.SUBTREE_BYTES) {
      off = Layout.SUBTREE_BYTES;
    }
    if (random.nextInt(12) == 0) {
      return new LogKey(off, length, 0, STALE, 0, 1, 0); // whatever is there is not looked at
    }
    if (random.nextInt(6) == 0) {
      if (written) {
        Arrays.fill(below, off, off + length, (byte) 0);
      }
      int place = random.nextBoolean() ? SharedZeros.UNMAPPED_AT : SharedZeros.KEPT_AT;
      return new LogKey(off, length, 0, ZEROS, place, 0, Crc32c.ofZeros(length));
    }
    boolean clean = random.nextInt(12) == 0 && written;
    int segment = 1 + random.nextInt(3);
    int place = dataAt + random.nextInt(3) * SECTOR; // seldom aligned
    if (random.nextInt(3) == 0) {
      place = dataAt + 4095 & -4096;
    }
    dataAt = place + length;
    byte[] data = new byte[length];
    if (random.nextInt(3) > 0) {
      random.nextBytes(data);
    }
    MemorySegment.copy(
        data,
        0,
        m.media(),
        ValueLayout.JAVA_BYTE,
        MediaBuilder.dataOffset(segment) + place,
        length);
    if (written) {
      System.arraycopy(data, 0, below, off, length);
    }
    int flags = clean ? Layout.KEY_FLAG_CLEAN : 0;
    return new LogKey(off, length, flags, segment, place, 0, new Crc32c().of(data, 0, length));
  }

  private static byte[] view(MediaBuilder m, BackingDevice backing) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(LOGICAL_BYTES, 4096);
      new LogicalView(CacheMedia.read("cache", m.view()), backing).read(0, bytes);
      return bytes.toArray(ValueLayout.JAVA_BYTE);
    }
  }
}
