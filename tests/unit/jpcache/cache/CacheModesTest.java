package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** What each mode promises of cache and backing device, write by write. */
class CacheModesTest {
  private static final int LOGICAL_BYTES = 16 << 20;
  private static final int BLOCK = 4096;
  private static final int PENDING = -1;
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(8 << 20, 4096);
  private final byte[] device = new byte[LOGICAL_BYTES];
  private final MemoryBacking backing = new MemoryBacking(device);
  private Cache cache = make(CacheMode.WRITE_BACK);
  private BlockQueue queue = cache.openQueue();
  private long now = System.nanoTime();

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  private Cache make(CacheMode mode) {
    MediaFormatter.format(region, true, mode, 70);
    return Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
  }

  private void begin(CacheMode mode) {
    queue.close();
    cache = make(mode);
    queue = cache.openQueue();
    settle(); // the device is flushed once before anything of it is cached
  }

  /** As after a power cut: nothing is told to the engine. */
  private void reopen() {
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
    queue = cache.openQueue();
  }

  private int[] writeLater(long offset, int length, int fill) {
    int[] errno = {PENDING};
    queue.write(
        offset,
        length,
        buffer.asSlice(0, length).fill((byte) fill).address(),
        false,
        e -> errno[0] = e);
    queue.commit();
    return errno;
  }

  private void write(long offset, int fill) {
    assertEquals(0, writeLater(offset, BLOCK, fill)[0]);
  }

  private int read(long offset) {
    int[] errno = {PENDING};
    queue.read(offset, BLOCK, buffer.address(), e -> errno[0] = e);
    assertEquals(0, errno[0]);
    return buffer.get(JAVA_BYTE, 0);
  }

  private int onDevice(long offset) {
    return device[(int) offset];
  }

  private boolean isCached(long offset) {
    int reads = backing.reads();
    read(offset);
    return backing.reads() == reads;
  }

  private void settle() {
    for (int i = 0; i < 10; i++) {
      now += 10 * SECOND;
      for (int step = 0; cache.maintenance().step(now) == 0; step++) {
        assertTrue(step < 10_000, "no end");
      }
    }
  }

  private boolean allIsWrittenBack() {
    return cache.status().dirtyTail().equals(cache.status().keyHead());
  }

  @Test
  void writeThroughAnswersWhenTheDeviceHasIt() {
    begin(CacheMode.WRITE_THROUGH);
    backing.hold();
    int[] errno = writeLater(0, BLOCK, 1);
    assertEquals(PENDING, errno[0]);
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals(1, onDevice(0));
    assertTrue(isCached(0));
  }

  @Test
  void whatWentThroughIsNotWrittenASecondTime() {
    begin(CacheMode.WRITE_THROUGH);
    write(0, 1);
    device[0] = 99;
    settle();
    assertTrue(allIsWrittenBack());
    assertEquals(99, onDevice(0));
  }

  @Test
  void whatWentThroughIsWrittenASecondTimeIfAFlushFailed() {
    begin(CacheMode.WRITE_THROUGH);
    write(0, 1);
    device[0] = 0;
    backing.failWrites(Errno.EIO);
    int[] errno = {PENDING};
    queue.flush(e -> errno[0] = e);
    queue.commit();
    assertEquals(Errno.EIO, errno[0], "a flush is the device's flush");
    backing.failWrites(0);
    settle();
    assertTrue(allIsWrittenBack());
    assertEquals(1, onDevice(0));
  }

  @Test
  void aWriteThroughThatFailsIsToldAndRepairedLater() {
    begin(CacheMode.WRITE_THROUGH);
    write(0, 1);
    backing.failWrites(Errno.EIO);
    assertEquals(Errno.EIO, writeLater(0, BLOCK, 2)[0]);
    device[0] = 77; // torn
    assertEquals(2, read(0), "never what the device has of it");
    reopen();
    assertEquals(2, read(0), "nor after a power cut");
    backing.failWrites(0);
    settle();
    assertEquals(2, onDevice(0));
  }

  @Test
  void writeAroundCachesNothingThatWasNotCached() {
    begin(CacheMode.WRITE_AROUND);
    write(0, 1);
    assertEquals(1, onDevice(0));
    assertFalse(isCached(0));
  }

  @Test
  void writeAroundRenewsWhatIsCached() {
    begin(CacheMode.WRITE_AROUND);
    read(BLOCK);
    assertTrue(isCached(BLOCK));
    assertEquals(0, writeLater(0, 3 * BLOCK, 5)[0]);
    assertEquals(5, read(BLOCK));
    assertEquals(5, onDevice(0));
    assertFalse(isCached(0));
    assertFalse(isCached(2 * BLOCK));
    assertTrue(isCached(BLOCK));
    reopen();
    assertEquals(5, read(BLOCK));
  }

  /** Until a flush has vouched for the write, a power cut may bring the old data back. */
  @Test
  void whatWasWrittenAroundIsCachedByReadsOnceTheDeviceIsFlushed() {
    begin(CacheMode.WRITE_AROUND);
    write(0, 1);
    read(0);
    assertFalse(isCached(0));
    settle();
    read(0);
    assertTrue(isCached(0));
  }

  @Test
  void aReadThatBeganBeforeAWriteAroundDoesNotBringOldDataIn() {
    begin(CacheMode.WRITE_AROUND);
    backing.hold();
    int[] errno = {PENDING};
    queue.read(0, BLOCK, buffer.address() + (4 << 20), e -> errno[0] = e);
    int[] written = writeLater(0, BLOCK, 1);
    backing.release(); // the last one first
    assertEquals(0, errno[0]);
    assertEquals(0, written[0]);
    assertFalse(isCached(0));
    assertEquals(1, read(0));
  }

  @Test
  void afterAFailedFlushNothingIsCachedOfWhatWasWrittenAround() {
    begin(CacheMode.WRITE_AROUND);
    write(0, 1);
    backing.failWrites(Errno.EIO);
    queue.flush(e -> assertEquals(Errno.EIO, e));
    queue.commit();
    backing.failWrites(0);
    settle();
    read(0);
    assertFalse(isCached(0), "the device may have lost it, and nobody would know");
  }

  @Test
  void writeOnlyCachesWritesAndNotReads() {
    begin(CacheMode.WRITE_ONLY);
    write(0, 1);
    assertEquals(0, onDevice(0));
    assertTrue(isCached(0));
    read(BLOCK);
    assertFalse(isCached(BLOCK));
  }

  @ParameterizedTest
  @EnumSource(value = CacheMode.class, names = "WRITE_BACK", mode = Mode.EXCLUDE)
  void aModeIsDurable(CacheMode mode) {
    assertEquals(mode == CacheMode.WRITE_ONLY, cache.setMode(mode).hasEnded());
    assertEquals(mode, CacheMedia.read("media", region.view()).info().mode());
    reopen();
    assertEquals(mode, cache.mode());
  }

  @ParameterizedTest
  @EnumSource(
      value = CacheMode.class,
      names = {"WRITE_THROUGH", "WRITE_AROUND"})
  void leavingWriteBackDrainsWhatIsDirtyWhileWritesBehaveAlready(CacheMode mode) {
    write(0, 1);
    Drain drain = cache.setMode(mode);
    assertFalse(drain.hasEnded());
    assertEquals(BLOCK, drain.leftBytes());
    write(BLOCK, 2);
    assertEquals(2, onDevice(BLOCK));
    assertEquals(0, onDevice(0));
    cache.maintenance().step(now);
    cache.maintenance().step(now);
    assertTrue(drain.hasEnded());
    assertEquals(0, drain.errno());
    assertEquals(1, onDevice(0));
  }

  @Test
  void aDrainWaitsForTheBatchesOfTheOldMode() {
    int[] errno = {PENDING};
    queue.write(0, BLOCK, buffer.fill((byte) 3).address(), false, e -> errno[0] = e);
    Drain drain = cache.setMode(CacheMode.WRITE_THROUGH);
    cache.maintenance().step(now);
    assertFalse(drain.hasEnded());
    queue.commit();
    assertEquals(0, errno[0]);
    cache.maintenance().step(now);
    cache.maintenance().step(now);
    assertTrue(drain.hasEnded());
    assertEquals(3, onDevice(0));
  }

  /** The older data lies in the log before the newer, and is never brought over it. */
  @Test
  void olderDirtyDataIsNotWrittenOverWhatWentThrough() {
    int[] big = writeLater(0, 4 << 20, 1);
    assertEquals(0, big[0]);
    cache.setMode(CacheMode.WRITE_THROUGH);
    write(BLOCK, 2);
    device[BLOCK] = 88; // would be written again if the older key were
    settle();
    assertTrue(allIsWrittenBack());
    assertEquals(88, onDevice(BLOCK));
    assertEquals(1, onDevice(0));
    assertEquals(1, onDevice(2 * BLOCK));
    assertEquals(2, read(BLOCK));
  }

  @Test
  void aDrainEndsWithTheDevicesErrorAndWriteBackGoesOn() {
    write(0, 1);
    backing.failWrites(Errno.EIO);
    Drain drain = cache.setMode(CacheMode.WRITE_THROUGH);
    cache.maintenance().step(now);
    assertEquals(Errno.EIO, drain.errno());
    backing.failWrites(0);
    settle();
    assertEquals(1, onDevice(0));
  }

  @Test
  void overlappingDirectWritesReachTheDeviceInTheOrderOfTheirKeys() {
    begin(CacheMode.WRITE_THROUGH);
    backing.hold();
    int[] first = writeLater(0, 2 * BLOCK, 1);
    int[] second = writeLater(BLOCK, 2 * BLOCK, 2);
    backing.release(); // what is held completes, the last one first
    assertEquals(0, first[0]);
    assertEquals(0, second[0]);
    assertEquals(1, onDevice(0));
    assertEquals(2, onDevice(BLOCK));
    assertEquals(2, read(BLOCK));
  }

  /** The second one's log store fails in a way that nobody expects. */
  @Test
  void aWriteIsAnsweredWhateverBecomesOfThoseItMakesWayFor() {
    begin(CacheMode.WRITE_THROUGH);
    backing.hold();
    int[] first = writeLater(0, BLOCK, 1);
    int[] second = writeLater(0, BLOCK, 2);
    int[] third = writeLater(0, BLOCK, 3);
    region.watch((offset, length) -> {
      region.watch((at, bytes) -> {});
      throw new InternalError("a test");
    });
    assertThrows(InternalError.class, backing::release);
    assertEquals(0, first[0]);
    assertEquals(Errno.EIO, second[0]);
    assertEquals(0, third[0]);
    assertEquals(3, onDevice(0));
  }

  @Test
  void backInWriteBackWritesStayInTheCache() {
    begin(CacheMode.WRITE_AROUND);
    write(BLOCK, 1);
    Drain drain = cache.setMode(CacheMode.WRITE_BACK);
    write(0, 1);
    assertEquals(0, onDevice(0));
    assertTrue(isCached(0));
    assertEquals(CacheMode.WRITE_AROUND, onMedia(), "nothing vouches for the last direct write");
    cache.maintenance().step(now);
    cache.maintenance().step(now);
    assertTrue(drain.hasEnded());
    assertEquals(CacheMode.WRITE_BACK, onMedia());
  }

  @Test
  void aChangeBackThatTheDeviceFailsIsMadeDurableLater() {
    begin(CacheMode.WRITE_AROUND);
    write(BLOCK, 1);
    backing.failWrites(Errno.EIO);
    Drain drain = cache.setMode(CacheMode.WRITE_BACK);
    settle();
    assertEquals(Errno.EIO, drain.errno());
    assertEquals(CacheMode.WRITE_AROUND, onMedia());
    backing.failWrites(0);
    settle();
    assertEquals(CacheMode.WRITE_BACK, onMedia());
  }

  /** A client's flush may be told after the one that a change of mode waits for. */
  @Test
  void aModeThatCannotBeStoredEndsItsDrainWithAnErrorAndHoldsUpNobodysFlush() {
    begin(CacheMode.WRITE_AROUND);
    write(BLOCK, 1);
    backing.hold();
    Drain drain = cache.setMode(CacheMode.WRITE_BACK);
    cache.maintenance().step(now); // asks for a flush
    int[] client = {PENDING};
    queue.flush(e -> client[0] = e);
    queue.commit();
    region.watch((offset, length) -> {
      if (isCacheInfo(offset)) {
        throw new UncheckedIOException(new IOException("a test"));
      }
    });
    backing.release();
    assertEquals(0, client[0]);
    cache.maintenance().step(now);
    assertEquals(Errno.EIO, drain.errno());
    assertEquals(CacheMode.WRITE_BACK, cache.mode());
    assertEquals(CacheMode.WRITE_AROUND, onMedia());
    region.watch((offset, length) -> {});
    Drain again = cache.setMode(CacheMode.WRITE_BACK);
    cache.maintenance().step(now);
    assertEquals(0, again.errno());
    assertEquals(CacheMode.WRITE_BACK, onMedia());
  }

  private static boolean isCacheInfo(long offset) {
    return offset == MediaBuilder.cacheInfoAt(0).offsetBytes()
        || offset == MediaBuilder.cacheInfoAt(1).offsetBytes();
  }

  @Test
  void aChangeToAModeWithDirectWritesDoesNotWaitForThose() {
    write(0, 1);
    Drain drain = cache.setMode(CacheMode.WRITE_THROUGH);
    MemorySegment data = buffer.asSlice(0, BLOCK).fill((byte) 2);
    queue.write(BLOCK, BLOCK, data.address(), false, e -> {}); // is staged, until the commit
    for (int i = 0; i < 3; i++) {
      cache.maintenance().step(now);
    }
    assertTrue(drain.hasEnded());
    queue.commit();
  }

  /** Another process may have left writes that a power cut would take away. */
  @Test
  void nothingIsCachedOfADeviceThatWasWrittenAroundBeforeItIsFlushed() {
    begin(CacheMode.WRITE_AROUND);
    write(0, 1);
    reopen();
    read(0);
    assertFalse(isCached(0));
    settle();
    read(0);
    assertTrue(isCached(0));
  }

  private CacheMode onMedia() {
    return CacheMedia.read("media", region.view()).info().mode();
  }
}
