package jpcache.media;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Golden;
import jpcache.Seeds;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Formatting makes an empty cache of whatever was there. */
class MediaFormatterTest {
  private static final int GC_PERCENT = 33;

  /** Of each segment, what formatting may touch and some of the data behind. */
  private static final long SEGMENT_HEAD_BYTES = 32 << 10;

  private static MemoryRegion region;

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);

  @BeforeAll
  static void allocate() {
    region = new MemoryRegion(MediaBuilder.SMALL_BYTES);
  }

  @AfterAll
  static void free() {
    region.close();
  }

  @Test
  void garbageBecomesAnEmptyCache() {
    for (int i = 0; i < 20; i++) {
      fillHeads();
      MediaFormatter.format(region, true, CacheMode.WRITE_BACK, GC_PERCENT);
      assertEmptyCache(true);
    }
  }

  /** Every replica of the old cache has a later seq than a new one begins with. */
  @Test
  void aCacheBecomesAnEmptyCache() {
    storeOldCache();
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, GC_PERCENT);
    assertEmptyCache(false);
  }

  @Test
  void whatTheKernelFormatsAndWhatWeFormatIsTheSameFieldByField() {
    Golden.Copy copy = Golden.named("clean").unpack(directory);
    try (MediaBuilder golden = MediaBuilder.open(copy.cache(), false)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, CacheInfo.GC_PERCENT_DEFAULT);
      CacheMedia kernel = CacheMedia.read("cache", golden.view());
      CacheMedia ours = CacheMedia.read("cache", region.view());
      assertEquals(kernel.superblock(), ours.superblock());
      assertEquals(kernel.info(), ours.info());
      assertEquals(kernel.keyTail(), ours.keyTail());
      assertEquals(kernel.dirtyTail(), ours.dirtyTail());
      assertEquals(kernel.segments().count(), ours.segments().count());
      for (int i = 0; i < ours.segments().count(); i++) {
        assertEquals(kernel.segments().deviceSegment(i), ours.segments().deviceSegment(i));
        assertEquals(kernel.segments().generation(i), ours.segments().generation(i));
        assertSameBytes(golden, MediaBuilder.generationAt(i, 0));
        assertSameBytes(golden, MediaBuilder.generationAt(i, 1));
      }
      // Written once by the kernel too, so these are the same to the byte, slot by slot.
      assertSameBytes(golden, MediaBuilder.superblockAt());
      for (int replica = 0; replica < 2; replica++) {
        assertSameBytes(golden, MediaBuilder.cacheInfoAt(replica));
        assertSameBytes(golden, MediaBuilder.keyTailAt(replica));
        assertSameBytes(golden, MediaBuilder.dirtyTailAt(replica));
      }
    }
  }

  @Test
  void aDeviceBelow512MiBIsRefused() {
    MediaFormatter.checkSize("cache", Layout.MIN_DEVICE_BYTES);
    MediaException e =
        assertThrows(
            MediaException.class,
            () -> MediaFormatter.checkSize("cache", Layout.MIN_DEVICE_BYTES - 1));
    assertEquals(Kind.TOO_SMALL, e.kind());
  }

  /** A cache in the same places, with dirty data, and late replicas of everything. */
  private void storeOldCache() {
    Path file = directory.resolve("old");
    try (MediaBuilder builder = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES)) {
      int at = 0;
      for (int kset = 0; kset < 20; kset++) {
        at += builder.kset(0, at, LogKey.of(kset * 4096L, 4096, 3, kset * 4096)).sizeBytes();
      }
      builder.kset(2, 0, LogKey.of(1 << 20, 4096, 4, 0));
      builder.tail(MediaBuilder.keyTailAt(0), 100, 0, Kset.sizeBytes(1));
      builder.tail(MediaBuilder.keyTailAt(1), 99, 2, 0);
      builder.tail(MediaBuilder.dirtyTailAt(0), 100, 0, 2 * Kset.sizeBytes(1));
      builder.tail(MediaBuilder.dirtyTailAt(1), 101, 0, 3 * Kset.sizeBytes(1));
      MemorySegment.copy(builder.media(), 0, region.writable(), 0, region.sizeBytes());
      Files.delete(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void fillHeads() {
    byte[] garbage = new byte[(int) SEGMENT_HEAD_BYTES];
    for (MemorySegment head : headSegments()) {
      random.nextBytes(garbage);
      MemorySegment.copy(garbage, 0, head, JAVA_BYTE, 0, (int) head.byteSize());
    }
  }

  private void assertEmptyCache(boolean dataCrc) {
    CacheMedia media = CacheMedia.read("cache", region.view());
    int segments = MediaBuilder.SMALL_SEGMENTS;
    assertEquals(new Superblock(0, segments), media.superblock(), "seed " + seed);
    int flags = CacheInfo.flags(dataCrc, CacheMode.WRITE_BACK, GC_PERCENT);
    assertEquals(new CacheInfo(0, segments, flags), media.info(), "seed " + seed);
    Position start = new Position(0, 0);
    assertEquals(start, media.keyTail(), "seed " + seed);
    assertEquals(start, media.dirtyTail(), "seed " + seed);
    for (int i = 0; i < segments; i++) {
      assertEquals(i, media.segments().deviceSegment(i), "seed " + seed);
      assertEquals(0, media.segments().generation(i), "seed " + seed);
    }
    LogReplay.Summary log = LogReplay.run(media, 0, (kset, key) -> {});
    assertEquals(start, log.head(), "seed " + seed);
    assertEquals(0, log.ksets() + log.keys() + log.staleKeys(), "seed " + seed);
    assertEquals(1, log.used().cardinality(), "seed " + seed);
  }

  private static void assertSameBytes(MediaBuilder golden, MediaBuilder.Structure at) {
    MemorySegment theirs = golden.media().asSlice(at.offsetBytes(), at.sizeBytes());
    MemorySegment ours = region.view().asSlice(at.offsetBytes(), at.sizeBytes());
    assertEquals(-1, theirs.mismatch(ours), () -> at.toString());
  }

  private static List<MemorySegment> headSegments() {
    List<MemorySegment> heads = new ArrayList<>();
    heads.add(region.writable().asSlice(0, Layout.SEGMENTS_OFFSET));
    for (int segment = 0; segment < MediaBuilder.SMALL_SEGMENTS; segment++) {
      heads.add(region.writable().asSlice(Layout.segmentOffset(segment), SEGMENT_HEAD_BYTES));
    }
    return heads;
  }
}
