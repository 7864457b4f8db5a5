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
import jpcache.media.MediaFormatter;
import jpcache.media.ReplicatedSlot;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Persistent memory that some of is gone, so that stores there fail: who needs it is told, nothing
 * hangs, and nothing that was acknowledged is lost.
 */
class FailingStoresTest {
  private static final int BLOCK = 4096;
  private static final int LOGICAL_BYTES = 16 << 20;
  private static final int PENDING = -1;

  private static final long TAIL_BYTES =
      ReplicatedSlot.dirtyTail().offsetBytes() - ReplicatedSlot.keyTail().offsetBytes();

  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(1 << 20, 4096);
  private final MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
  private Cache cache = make(CacheMode.WRITE_BACK);
  private BlockQueue queue = cache.openQueue();
  private long now = System.nanoTime();

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  private Cache make(CacheMode mode) {
    MediaFormatter.format(region, false, mode, 70);
    return open(CacheOptions.defaults());
  }

  private Cache open(CacheOptions options) {
    return Cache.open(region, backing, options.withLanes(1));
  }

  private void begin(CacheMode mode) {
    queue.close();
    cache = make(mode);
    queue = cache.openQueue();
  }

  /** The next process. */
  private void reopen(CacheOptions options) {
    queue.close();
    cache.close();
    cache = open(options);
    queue = cache.openQueue();
  }

  private void reopen() {
    reopen(CacheOptions.defaults());
  }

  /** Stores that touch a range fail from now on. */
  private void lose(long from, long bytes) {
    region.watch((offset, length) -> {
      if (offset < from + bytes && from < offset + length) {
        throw new UncheckedIOException(new IOException("memory: its memory is gone"));
      }
    });
  }

  private void heal() {
    region.watch((offset, length) -> {});
  }

  private void loseSegment(int segment) {
    lose(CacheMedia.read("memory", region.view()).segments().dataOffset(segment), 12 << 20);
  }

  private int write(long offset, int fill) {
    int[] errno = {PENDING};
    long address = buffer.asSlice(0, BLOCK).fill((byte) fill).address();
    queue.write(offset, BLOCK, address, false, e -> errno[0] = e);
    queue.commit();
    return errno[0];
  }

  private int zero(long offset) {
    int[] errno = {PENDING};
    queue.writeZeroes(offset, BLOCK, true, false, e -> errno[0] = e);
    queue.commit();
    return errno[0];
  }

  private int flush() {
    int[] errno = {PENDING};
    queue.flush(e -> errno[0] = e);
    queue.commit();
    return errno[0];
  }

  private int read(long offset) {
    int[] errno = {PENDING};
    queue.read(offset, BLOCK, buffer.address(), e -> errno[0] = e);
    assertEquals(0, errno[0]);
    return buffer.get(JAVA_BYTE, 0);
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

  @ParameterizedTest
  @EnumSource(CacheMode.class)
  void aWriteWhoseDataCannotBeStoredFailsAndTheNextSucceeds(CacheMode mode) {
    begin(mode);
    assertEquals(0, write(0, 1));
    loseSegment(1);
    int errno = write(0, 2);
    assertEquals(mode == CacheMode.WRITE_AROUND ? 0 : Errno.EIO, errno);
    int expected = errno == 0 ? 2 : 1;
    assertEquals(expected, read(0));
    heal();
    assertEquals(0, write(BLOCK, 3));
    reopen();
    assertEquals(expected, read(0));
    assertEquals(3, read(BLOCK));
    settle();
    assertTrue(allIsWrittenBack());
  }

  @ParameterizedTest
  @EnumSource(CacheMode.class)
  void aWriteWhoseKeysCannotBeStoredFailsAndWhatWasAcknowledgedStays(CacheMode mode) {
    begin(mode);
    assertEquals(0, write(0, 1));
    loseSegment(0);
    int errno = write(BLOCK, 2);
    assertEquals(mode == CacheMode.WRITE_AROUND ? 0 : Errno.EIO, errno, "around it are no keys");
    assertEquals(1, read(0));
    settle();
    heal();
    assertEquals(0, write(2 * BLOCK, 3));
    reopen();
    assertEquals(1, read(0));
    assertEquals(3, read(2 * BLOCK));
  }

  @Test
  void aFlushThatCannotStoreTheOpenKeysFailsUntilItCan() {
    reopen(CacheOptions.defaults().withDurability(Durability.FLUSH));
    assertEquals(0, write(0, 1));
    loseSegment(0);
    assertEquals(0, write(BLOCK, 2));
    assertEquals(Errno.EIO, flush());
    settle();
    heal();
    assertEquals(0, flush());
    reopen();
    assertEquals(1, read(0));
    assertEquals(2, read(BLOCK));
  }

  @Test
  void aZeroedRangeWhoseZerosCannotBeStoredFailsAndTheNextSucceeds() {
    assertEquals(0, write(0, 1));
    loseSegment(2);
    assertEquals(Errno.EIO, zero(0));
    assertEquals(1, read(0));
    heal();
    assertEquals(0, zero(0));
    assertEquals(0, read(0));
    reopen();
    assertEquals(0, read(0));
  }

  @Test
  void aReadWhoseDataCannotBeCachedSucceeds() {
    loseSegment(1);
    assertEquals(0, read(0));
    assertEquals(0, read(0));
    heal();
    assertEquals(0, write(0, 1));
    assertEquals(1, read(0));
  }

  @Test
  void aDrainIsToldThatDirtyTailCannotBeStoredAndWriteBackIsTriedAgain() {
    assertEquals(0, write(0, 1));
    lose(ReplicatedSlot.dirtyTail().offsetBytes(), TAIL_BYTES);
    Drain drain = cache.drain();
    cache.maintenance().step(now);
    assertTrue(drain.hasEnded());
    assertEquals(Errno.EIO, drain.errno());
    assertEquals(Errno.EIO, cache.maintenance().lastErrno());
    assertEquals(Errno.EIO, cache.maintenance().writeBackAll());
    assertFalse(allIsWrittenBack());
    heal();
    settle();
    assertTrue(allIsWrittenBack());
    assertEquals(0, cache.maintenance().lastErrno());
  }

  @Test
  void writeBackGoesOnWhileKeyTailCannotBeStored() {
    cache.setGcPercent(0);
    assertEquals(0, write(0, 1));
    assertEquals(0, cache.maintenance().writeBackAll());
    lose(ReplicatedSlot.keyTail().offsetBytes(), TAIL_BYTES);
    assertEquals(0, write(0, 2));
    Drain drain = cache.drain();
    for (int step = 0; step < 3; step++) {
      cache.maintenance().step(now);
    }
    assertTrue(drain.hasEnded());
    assertEquals(0, drain.errno());
    heal();
    settle();
    assertEquals(cache.status().keyHead(), cache.status().keyTail());
    assertEquals(2, read(0));
  }

  @Test
  void aModeThatCannotBeStoredIsNotInForce() {
    lose(ReplicatedSlot.cacheInfo().offsetBytes(), 2 * BLOCK);
    assertThrows(UncheckedIOException.class, () -> cache.setMode(CacheMode.WRITE_THROUGH));
    assertThrows(UncheckedIOException.class, () -> cache.setGcPercent(3));
    assertEquals(CacheMode.WRITE_BACK, cache.mode());
    assertEquals(0, write(0, 1));
    heal();
    settle();
    assertEquals(CacheMode.WRITE_BACK, cache.mode());
    assertEquals(70, cache.status().info().gcPercent());
  }

  @Test
  void aModeThatCannotBeStoredAfterItsDrainIsAnErrorOfTheDrain() {
    begin(CacheMode.WRITE_AROUND);
    assertEquals(0, write(0, 1));
    lose(ReplicatedSlot.cacheInfo().offsetBytes(), 2 * BLOCK);
    Drain drain = cache.setMode(CacheMode.WRITE_BACK);
    settle();
    assertTrue(drain.hasEnded());
    assertEquals(Errno.EIO, drain.errno());
    heal();
    assertEquals(CacheMode.WRITE_AROUND, CacheMedia.read("memory", region.view()).info().mode());
  }
}
