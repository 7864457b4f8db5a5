package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import jpcache.backing.MemoryBacking;
import jpcache.base.Crc32c;
import jpcache.base.UserException;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import jpcache.support.LogLines;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is said when a cache is opened whose media are damaged. */
class DamagedMediaTest {
  private static final int PAGE = 4096;
  private static final int SIZE = Kset.sizeBytes(1);

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final LogLines log = LogLines.of(ReplayedLog.class);
  private final List<String> told = log.lines();

  @AfterEach
  void listenNoMore() {
    log.close();
  }

  private MediaBuilder media() {
    return MediaBuilder.create(shm.resolve("cache"), MediaBuilder.SMALL_BYTES);
  }

  private static void open(MediaBuilder m) {
    var _ =
        Cache.open(
            new MemoryRegion(m.media()),
            new MemoryBacking(new byte[4 << 20]),
            CacheOptions.defaults());
  }

  /** Nothing is written on the way to it. */
  private static String refusal(MediaBuilder m) {
    MemoryRegion region = new MemoryRegion(m.media());
    region.watch((offset, length) -> fail("written at " + offset));
    MemoryBacking backing = new MemoryBacking(new byte[4 << 20]);
    return ""
        + assertThrows(
                UserException.class, () -> Cache.open(region, backing, CacheOptions.defaults()))
            .getMessage();
  }

  private static Position dirtyTail(MediaBuilder m) {
    return CacheMedia.read("cache", m.view()).dirtyTail();
  }

  private static LogKey key(int page, long generation) {
    return new LogKey((long) page * PAGE, PAGE, 0, 1, page * PAGE, generation, 0);
  }

  @Test
  void aKsetBehindATornOneIsTold() {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.breakSeal(m.kset(0, SIZE, key(1, 0)));
      m.kset(0, 2 * SIZE, key(2, 0));
      open(m);
      assertEquals(1, told.size(), told::toString);
      assertTrue(
          told.getFirst()
              .contains(
                  "a torn key set at 0:64 is followed by a valid one at 0:128, which is not reached"),
          told::toString);
      assertTrue(told.getFirst().contains("`jpcache fsck`"), told::toString);
    }
  }

  @Test
  void aTornKsetAtTheEndAndAStaleOneBehindItAreNot() {
    try (MediaBuilder m = media()) {
      m.generation(1, 1);
      m.kset(0, 0, key(0, 1));
      m.breakSeal(m.kset(0, SIZE, key(1, 1)));
      m.kset(0, 2 * SIZE, key(2, 0));
      open(m);
      assertEquals(List.of(), told);
    }
  }

  @Test
  void dirtyDataThatDoesNotFitItsChecksumIsRefusedWithTheWayOut() {
    try (MediaBuilder m = media()) {
      m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, MediaBuilder.FLAGS | 1);
      m.kset(0, 0, new LogKey(0, PAGE, 0, 1, 0, 0, 1));
      String refusal = "" + assertThrows(UserException.class, () -> open(m)).getMessage();
      assertTrue(refusal.contains("`jpcache fsck` finds all such places"), refusal);
      assertTrue(refusal.contains("`jpcache rescue --force`"), refusal);
    }
  }

  /** A page of zeros under a clean key, or a dirty one, in a segment whose memory is gone. */
  private void keyWithoutItsData(MediaBuilder m, boolean clean) throws IOException {
    int last = MediaBuilder.SMALL_SEGMENTS - 1;
    m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, MediaBuilder.FLAGS | 1);
    m.kset(0, 0, new LogKey(0, PAGE, 0, last, 0, 0, new Crc32c().of(new byte[PAGE], 0, PAGE)));
    if (clean) {
      m.dirtyTail(0, SIZE);
    }
    try (FileChannel file = FileChannel.open(shm.resolve("cache"), StandardOpenOption.WRITE)) {
      file.truncate(MediaBuilder.dataOffset(last));
    }
  }

  @Test
  void cleanDataThatCannotBeReadIsForgottenToldAndServedFromBelow() throws IOException {
    byte[] below = new byte[4 << 20];
    below[0] = 'b';
    try (MediaBuilder m = media();
        Arena arena = Arena.ofConfined()) {
      keyWithoutItsData(m, true);
      Cache cache =
          Cache.open(
              new MemoryRegion(m.media()), new MemoryBacking(below), CacheOptions.defaults());
      assertEquals(1, told.size(), told::toString);
      assertTrue(told.getFirst().contains("in segment 30 cannot be read; "), told::toString);
      assertTrue(told.getFirst().endsWith("what the backing device has is read there"));
      MemorySegment buffer = arena.allocate(PAGE);
      try (BlockQueue queue = cache.openQueue()) {
        queue.read(0, PAGE, buffer.address(), errno -> assertEquals(0, errno));
      }
      assertEquals('b', buffer.get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  @Test
  void dirtyDataThatCannotBeReadIsRefusedWithTheWayOut() throws IOException {
    try (MediaBuilder m = media()) {
      keyWithoutItsData(m, false);
      String refusal = refusal(m);
      assertTrue(refusal.contains("in segment 30 cannot be read; "), refusal);
      assertTrue(refusal.contains("`jpcache fsck` finds all such places"), refusal);
      assertTrue(refusal.contains("`jpcache rescue --force --skip-unreadable`"), refusal);
    }
  }

  /** To begin at key_tail would bring old data back; to begin at dirty_tail is for the repair. */
  @Test
  void aLogThatIsDamagedBeforeDirtyTailIsRefusedWithTheRepair() {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.breakSeal(m.kset(0, SIZE, key(1, 0)));
      m.kset(0, 2 * SIZE, key(2, 0));
      m.dirtyTail(0, 2 * SIZE);
      String refusal = refusal(m);
      assertTrue(refusal.startsWith("memory: dirty_tail 0:128: "), refusal);
      assertTrue(refusal.contains("at 0:64 (a torn key set at byte "), refusal);
      assertTrue(refusal.endsWith("; run `jpcache fsck --repair` first"), refusal);
    }
  }

  @Test
  void aLogThatLeadsOutBeforeDirtyTailIsRefusedWithThePlaceAndTheRepair() {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.kset(0, SIZE, LogKey.of(0, PAGE, MediaBuilder.SMALL_SEGMENTS, 0));
      m.kset(0, 2 * SIZE, key(2, 0));
      m.dirtyTail(0, 2 * SIZE);
      String refusal = refusal(m);
      assertTrue(refusal.contains("key.cache_seg_id at byte "), refusal);
      assertTrue(refusal.endsWith("; run `jpcache fsck --repair` first"), refusal);
    }
  }

  @Test
  void aLogThatCannotBeReadBeforeDirtyTailIsRefusedWithThePlaceAndTheRepair() throws IOException {
    int last = MediaBuilder.SMALL_SEGMENTS - 1;
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.lastKset(0, SIZE, last);
      m.kset(5, 0, key(2, 0));
      m.dirtyTail(5, 0);
      try (FileChannel file = FileChannel.open(shm.resolve("cache"), StandardOpenOption.WRITE)) {
        file.truncate(MediaBuilder.dataOffset(last));
      }
      String refusal = refusal(m);
      assertTrue(refusal.contains("(memory that cannot be read at byte "), refusal);
      assertTrue(refusal.endsWith("; run `jpcache fsck --repair` first"), refusal);
    }
  }

  @Test
  void whereDirtyTailOrTheLogMayBeWrongItIsRefused() {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.breakSeal(m.kset(0, SIZE, key(1, 0)));
      m.dirtyTail(0, 2 * SIZE);
      m.u32(MediaBuilder.dirtyTailAt(1), 0, 1);
      String refusal = refusal(m);
      assertTrue(refusal.contains("; copy the cache before "), refusal);
    }
  }

  /** The log may grow onto the old place, and a crash would find all before it written back. */
  @Test
  void anOldDirtyTailIsReplacedOnMediaBeforeAnythingIsServed() {
    Position start = new Position(0, 0);
    try (MediaBuilder m = media()) {
      m.kset(0, 0, key(0, 0));
      m.dirtyTail(0, SIZE - 24);
      open(m);
      assertEquals(start, dirtyTail(m));
      m.breakSeal(MediaBuilder.dirtyTailAt(0));
      assertEquals(start, dirtyTail(m), "in both replicas");
    }
  }
}
