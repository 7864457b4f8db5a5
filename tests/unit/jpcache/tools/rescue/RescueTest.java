package jpcache.tools.rescue;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.Crc32c;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaException;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a rescue does with damage. */
class RescueTest {
  private static final int PAGE = 4096;
  private static final int BACKING_BYTES = 8 << 20;
  private static final int LAST_SEGMENT = MediaBuilder.SMALL_SEGMENTS - 1;
  private static final Position START = new Position(0, 0);

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final List<String> notices = new ArrayList<>();

  /** A cache with dirty data of some value in its last segment, and a backing file of ones. */
  private final class Devices implements AutoCloseable {
    final Path cacheFile = shm.resolve("cache");
    final Path backingFile = shm.resolve("backing");
    final MediaBuilder m = MediaBuilder.create(cacheFile, MediaBuilder.SMALL_BYTES);
    final BackingDevice backing;

    Devices() throws IOException {
      byte[] ones = new byte[BACKING_BYTES];
      Arrays.fill(ones, (byte) 1);
      Files.write(backingFile, ones);
      backing = BackingDevices.open(backingFile.toString(), BackingOptions.readWrite());
    }

    Devices data(int placeBytes, int lengthBytes, int value) {
      m.media()
          .asSlice(MediaBuilder.dataOffset(LAST_SEGMENT) + placeBytes, lengthBytes)
          .fill((byte) value);
      return this;
    }

    /** Takes the cache's memory away from some place in the last segment's data on. */
    void poisonFrom(int placeBytes) throws IOException {
      try (FileChannel file = FileChannel.open(cacheFile, StandardOpenOption.WRITE)) {
        file.truncate(MediaBuilder.dataOffset(LAST_SEGMENT) + placeBytes);
      }
    }

    Rescue.Summary rescue(boolean force, boolean skipUnreadable) {
      Rescue.Options options = new Rescue.Options(force, skipUnreadable, Rescue.BATCH_KSETS);
      return new Rescue(media(), backing, options, notices::add, (done, of) -> {})
          .run(new MemoryRegion(m.media()));
    }

    CacheMedia media() {
      return CacheMedia.read("cache", m.view());
    }

    byte[] backingBytes(long from, int length) throws IOException {
      byte[] all = Files.readAllBytes(backingFile);
      return Arrays.copyOfRange(all, (int) from, (int) from + length);
    }

    @Override
    public void close() {
      backing.close();
      m.close();
    }
  }

  private static LogKey key(long off, int len, int place) {
    return LogKey.of(off, len, LAST_SEGMENT, place);
  }

  private static byte[] filled(int length, int value) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  private static String refusal(Devices d) {
    return String.valueOf(
        assertThrows(UserException.class, () -> d.rescue(false, false)).getMessage());
  }

  /** The place is aligned, so that it is written from the mapping, or not, so that it is copied. */
  @ParameterizedTest
  @ValueSource(ints = {0, 512})
  void aPageThatCannotBeReadStopsItAndIsNamedAndNothingIsMarkedClean(int shift) throws Exception {
    try (Devices d = new Devices()) {
      d.data(shift, 4 * PAGE, 7);
      d.m.kset(0, 0, key(PAGE, 4 * PAGE, shift));
      d.poisonFrom(2 * PAGE);
      String message = refusal(d);
      long poisoned = MediaBuilder.dataOffset(LAST_SEGMENT) + 2 * PAGE;
      assertTrue(message.contains("byte " + poisoned), message);
      assertTrue(message.contains("logical bytes " + (3 * PAGE - shift) + " to "), message);
      assertTrue(message.contains("--skip-unreadable"), message);
      assertEquals(START, d.media().dirtyTail());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 512})
  void whatCannotBeReadIsSkippedOnDemandAndToldAndAllElseIsWritten(int shift) throws Exception {
    try (Devices d = new Devices()) {
      d.data(shift, 4 * PAGE, 7);
      d.m.kset(0, 0, key(PAGE, 4 * PAGE, shift), key(64 * PAGE, PAGE, 0));
      d.poisonFrom(2 * PAGE);
      Rescue.Summary summary = d.rescue(false, true);
      int readable = 2 * PAGE - shift;
      assertEquals(4 * PAGE - readable, summary.skippedBytes());
      assertArrayEquals(filled(readable, 7), d.backingBytes(PAGE, readable));
      assertArrayEquals(
          filled(4 * PAGE - readable, 1), d.backingBytes(PAGE + readable, 4 * PAGE - readable));
      assertEquals((summary.skippedBytes() + PAGE - 1) / PAGE, notices.size(), notices::toString);
      assertEquals(new Position(0, Kset.sizeBytes(2)), d.media().dirtyTail());
    }
  }

  @Test
  void aWrongChecksumStopsItBeforeItsBatchAndForceWritesIt() throws Exception {
    try (Devices d = new Devices()) {
      d.m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, MediaBuilder.FLAGS | 1);
      d.data(0, 2 * PAGE, 7);
      int crc = new Crc32c().of(filled(PAGE, 7), 0, PAGE);
      d.m.kset(
          0,
          0,
          new LogKey(0, PAGE, 0, LAST_SEGMENT, 0, 0, crc),
          new LogKey(9 * PAGE, PAGE, 0, LAST_SEGMENT, PAGE, 0, crc + 1));
      String message = refusal(d);
      assertTrue(message.startsWith("cache: key 1 of the key set at 0:0: data_crc 0x"), message);
      assertTrue(message.contains("--force"), message);
      assertArrayEquals(filled(BACKING_BYTES, 1), d.backingBytes(0, BACKING_BYTES));
      assertEquals(START, d.media().dirtyTail());

      d.rescue(true, false);
      assertEquals(1, notices.size());
      assertArrayEquals(filled(PAGE, 7), d.backingBytes(9 * PAGE, PAGE));
      assertEquals(new Position(0, Kset.sizeBytes(2)), d.media().dirtyTail());
    }
  }

  @Test
  void aCleanKeyHidesOlderDataThatTheBackingDeviceHasOverwritten() throws Exception {
    try (Devices d = new Devices()) {
      d.data(0, 4 * PAGE, 7);
      LogKey clean = new LogKey(PAGE, PAGE, Layout.KEY_FLAG_CLEAN, LAST_SEGMENT, 0, 0, 0);
      d.m.kset(0, 0, key(0, 3 * PAGE, PAGE), clean);
      d.rescue(false, false);
      assertArrayEquals(filled(PAGE, 7), d.backingBytes(0, PAGE));
      assertArrayEquals(filled(PAGE, 1), d.backingBytes(PAGE, PAGE));
      assertArrayEquals(filled(PAGE, 7), d.backingBytes(2 * PAGE, PAGE));
    }
  }

  @Test
  void aDirtyTailThatIsNotOnTheChainIsRefused() throws Exception {
    try (Devices d = new Devices()) {
      d.m.kset(0, 0, key(0, PAGE, 0));
      d.m.dirtyTail(3, 0);
      String message = refusal(d);
      assertTrue(message.contains("dirty_tail 3:0") && message.contains("fsck --repair"), message);
    }
  }

  @Test
  void aLogThatIsBrokenBehindSoundKsetsIsRefusedBeforeAnythingIsWritten() throws Exception {
    try (Devices d = new Devices()) {
      d.data(0, PAGE, 7);
      d.m.kset(0, 0, key(0, PAGE, 0));
      d.m.kset(0, Kset.sizeBytes(1), key(BACKING_BYTES, PAGE, 0));
      MediaException e = assertThrows(MediaException.class, () -> d.rescue(false, false));
      assertEquals("key.off", e.field());
      assertArrayEquals(filled(BACKING_BYTES, 1), d.backingBytes(0, BACKING_BYTES));
    }
  }

  @Test
  void ksetsThatATornOneKeepsFromTheLogAreTold() throws Exception {
    try (Devices d = new Devices()) {
      d.m.kset(0, 0, key(0, PAGE, 0));
      d.m.breakSeal(d.m.kset(0, Kset.sizeBytes(1), key(PAGE, PAGE, PAGE)));
      d.m.kset(0, 2 * Kset.sizeBytes(1), key(2 * PAGE, PAGE, 2 * PAGE));
      d.m.kset(0, 3 * Kset.sizeBytes(1), key(3 * PAGE, PAGE, 3 * PAGE));
      d.rescue(false, false);
      assertEquals(
          List.of(
              "cache: a torn key set at 0:64 is followed by valid ones: 2 key sets with 2 dirty"
                  + " keys, from 0:128 on, are not reached; look at it with `jpcache fsck` before"
                  + " you go on"),
          notices);
    }
  }

  @Test
  void aLogWithoutRoomForAnotherTailIsRefused() throws Exception {
    try (Devices d = new Devices()) {
      int at = Layout.SEGMENT_DATA_BYTES - Kset.sizeBytes(1);
      d.m.keyTail(0, at);
      d.m.dirtyTail(0, at);
      d.m.kset(0, at, key(0, PAGE, 0));
      String message = refusal(d);
      assertTrue(message.startsWith("cache: key_head 0:" + Layout.SEGMENT_DATA_BYTES), message);
    }
  }
}
