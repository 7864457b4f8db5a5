package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.media.MediaException.Kind;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where a log ends, and where it must not be followed. */
class LogReaderTest {
  private static final LogKey KEY = LogKey.of(0, 512, 5, 0);
  private static final int ONE_KEY = Kset.sizeBytes(1);
  private static final int LAST_SEGMENT = MediaBuilder.SMALL_SEGMENTS - 1;

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private MediaBuilder media;

  @BeforeEach
  void make() {
    media = MediaBuilder.create(directory.resolve("media"), MediaBuilder.SMALL_BYTES);
  }

  @AfterEach
  void close() {
    media.close();
  }

  @Test
  void anEmptyLogEndsWhereItBegins() {
    assertEndsAfter(0, 0);
  }

  @Test
  void aWrongMagicEndsTheLogEvenIfSoundKsetsFollow() {
    Structure second = threeKsets();
    media.forgeU64(second, Layout.KSET_MAGIC_AT, Layout.KSET_MAGIC + 1);
    assertEndsAfter(1, ONE_KEY);
  }

  @Test
  void aWrongChecksumEndsTheLog() {
    media.breakSeal(threeKsets());
    assertEndsAfter(1, ONE_KEY);
  }

  @Test
  void aChangedBitOfAKeyEndsTheLog() {
    Structure second = threeKsets();
    media.u32(second, Layout.KSET_HEADER_BYTES + Layout.KEY_RESERVED_AT, 1);
    assertEndsAfter(1, ONE_KEY);
  }

  @Test
  void aKsetOfNoKeysEndsTheLog() {
    media.kset(0, 0, KEY);
    media.kset(0, ONE_KEY);
    media.kset(0, ONE_KEY + Layout.KSET_HEADER_BYTES, KEY);
    assertEndsAfter(1, ONE_KEY);
  }

  @Test
  void aKsetOf129KeysEndsTheLogThoughItsChecksumIsRight() {
    media.kset(0, 0, KEY);
    Structure big = new Structure(MediaBuilder.dataOffset(0) + ONE_KEY, Kset.sizeBytes(129));
    media.forgeU64(big, Layout.KSET_MAGIC_AT, Layout.KSET_MAGIC);
    media.forgeU32(big, Layout.KSET_KEY_NUM_AT, 129);
    assertEndsAfter(1, ONE_KEY);
    for (int keys : new int[] {-1, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
      media.forgeU32(big, Layout.KSET_KEY_NUM_AT, keys);
      assertEndsAfter(1, ONE_KEY);
    }
  }

  @Test
  void a128KeyKsetIsRead() {
    LogKey[] keys = new LogKey[128];
    Arrays.fill(keys, KEY);
    media.kset(0, 0, keys);
    assertEndsAfter(1, Layout.KSET_MAX_BYTES);
  }

  @Test
  void aKsetMustFitInWhatIsLeftOfItsSegment() {
    int fits = Layout.SEGMENT_DATA_BYTES - ONE_KEY;
    media.kset(LAST_SEGMENT, fits, KEY);
    media.keyTail(LAST_SEGMENT, fits);
    assertEndsAfter(1, Layout.SEGMENT_DATA_BYTES);

    // Behind the last segment there is device enough for the rest of it.
    int over = fits + 8;
    media.kset(LAST_SEGMENT, over, KEY);
    media.keyTail(LAST_SEGMENT, over);
    assertEndsAfter(0, over);
  }

  @Test
  void aLastKsetMustFitToo() {
    int fits = Layout.SEGMENT_DATA_BYTES - Layout.KSET_HEADER_BYTES;
    media.lastKset(LAST_SEGMENT, fits, 0);
    media.keyTail(LAST_SEGMENT, fits);
    assertEndsAfter(1, 0);

    media.lastKset(LAST_SEGMENT, fits + 8, 0);
    media.keyTail(LAST_SEGMENT, fits + 8);
    assertEndsAfter(0, fits + 8);

    media.keyTail(LAST_SEGMENT, Layout.SEGMENT_DATA_BYTES - 1);
    assertEndsAfter(0, Layout.SEGMENT_DATA_BYTES - 1);
  }

  @Test
  void aLastKsetsUnknownFlagsDoNotMatter() {
    Structure last = media.lastKset(0, 0, 3);
    media.forgeU64(last, Layout.KSET_FLAGS_AT, -1L);
    media.kset(3, 0, KEY);
    assertEndsAfter(2, ONE_KEY);
  }

  @Test
  void aCycleFromKeyTailIsRefused() {
    media.kset(0, 0, KEY);
    media.lastKset(0, ONE_KEY, 7);
    media.lastKset(7, 0, 0);
    assertCycle(MediaBuilder.dataOffset(7));
  }

  @Test
  void aLastKsetThatNamesItsOwnSegmentIsRefused() {
    media.lastKset(0, 0, 0);
    assertCycle(MediaBuilder.dataOffset(0));
  }

  @Test
  void aChainThroughEverySegmentIsFollowedAndOneMoreIsACycle() {
    for (int segment = 0; segment < LAST_SEGMENT; segment++) {
      media.lastKset(segment, 0, segment + 1);
    }
    media.kset(LAST_SEGMENT, 0, KEY);
    assertEndsAfter(MediaBuilder.SMALL_SEGMENTS, ONE_KEY);
    media.lastKset(LAST_SEGMENT, ONE_KEY, 0);
    assertCycle(MediaBuilder.dataOffset(LAST_SEGMENT) + ONE_KEY);
  }

  @Test
  void aCycleFromDirtyTailIsRefusedThoughKeyTailsChainIsSound() {
    media.kset(0, 0, KEY);
    media.dirtyTail(8, 64);
    media.lastKset(8, 64, 9);
    media.lastKset(9, 0, 8);
    assertEndsAfter(1, ONE_KEY);
    assertCycle(MediaBuilder.dataOffset(9));
  }

  @Test
  void aKeyOfALaterGenerationThanItsSegmentIsLive() {
    media.generation(5, 7);
    media.kset(
        0,
        0,
        new LogKey(0, 512, 0, 5, 0, 6, 0),
        new LogKey(512, 512, 0, 5, 512, 7, 0),
        new LogKey(1024, 512, 0, 5, 1024, -1, 0));
    LogReplay.Summary summary = replay();
    assertEquals(2, summary.keys());
    assertEquals(1, summary.staleKeys());
  }

  @Test
  void generationsAreUnsigned() {
    media.generation(5, Long.MIN_VALUE);
    media.kset(
        0,
        0,
        new LogKey(0, 512, 0, 5, 0, Long.MAX_VALUE, 0),
        new LogKey(512, 512, 0, 5, 512, Long.MIN_VALUE, 0),
        new LogKey(1024, 512, 0, 5, 1024, 0, 0));
    LogReplay.Summary summary = replay();
    assertEquals(1, summary.keys());
    assertEquals(2, summary.staleKeys());
  }

  @Test
  void aSegmentWithoutAValidGenerationHasGenerationZero() {
    media.generation(5, 9);
    media.breakSeal(MediaBuilder.generationAt(5, 1));
    media.kset(0, 0, KEY);
    assertEquals(1, replay().keys());
  }

  /** The second one is returned. */
  private Structure threeKsets() {
    media.kset(0, 0, KEY);
    Structure second = media.kset(0, ONE_KEY, KEY);
    media.kset(0, 2 * ONE_KEY, KEY);
    return second;
  }

  private LogReplay.Summary replay() {
    return LogReplay.run(CacheMedia.read("cache", media.view()), Long.MAX_VALUE, (kset, key) -> {});
  }

  private void assertEndsAfter(int ksets, int headOffset) {
    CacheMedia read = CacheMedia.read("cache", media.view());
    LogReader reader = new LogReader(read, read.keyTail(), Long.MAX_VALUE);
    for (int i = 0; i < ksets; i++) {
      assertTrue(reader.next(), "kset " + i);
    }
    assertFalse(reader.next());
    assertFalse(reader.next(), "an end is an end");
    assertEquals(headOffset, reader.head().offsetBytes());
  }

  private void assertCycle(long at) {
    MediaException e = assertThrows(MediaException.class, this::replay);
    assertEquals(Kind.CYCLE, e.kind());
    assertEquals("kset.next_seg", e.field());
    assertEquals(at, e.offsetBytes());
  }
}
