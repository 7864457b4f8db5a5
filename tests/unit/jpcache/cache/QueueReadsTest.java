package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.block.ReadBatch;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What reads do with data that is damaged, what they fetch early, and what is told of ranges. */
class QueueReadsTest {
  private static final int PENDING = -1;
  private static final int LOGICAL_BYTES = 64 << 20;
  private static final CacheOptions OPTIONS = CacheOptions.defaults().withLanes(1);

  private final byte[] slow = new byte[LOGICAL_BYTES];
  private final MemoryBacking backing = new MemoryBacking(slow);
  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(32 << 20);
  private final int[] errno = {PENDING};
  private Cache cache;
  private BlockQueue queue;

  QueueReadsTest() {
    Arrays.fill(slow, (byte) 'b');
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, backing, OPTIONS);
    queue = cache.openQueue();
  }

  @AfterEach
  void unmap() {
    queue.close();
    region.close();
    arena.close();
  }

  private void reopen() {
    queue.close();
    cache.close();
    cache = Cache.open(region, backing, OPTIONS);
    queue = cache.openQueue();
  }

  private void write(long offset, int length, char fill) {
    buffer.asSlice(0, length).fill((byte) fill);
    queue.write(offset, length, buffer.address(), false, e -> errno[0] = e);
    queue.commit();
    assertEquals(0, errno[0]);
  }

  /** Every byte of a range, if all are alike; or the error with which its read ended. */
  private String read(long offset, int length) {
    int[] result = {PENDING};
    queue.read(offset, length, buffer.address(), e -> result[0] = e);
    if (result[0] != 0) {
      return "error " + result[0];
    }
    byte[] bytes = buffer.asSlice(0, length).toArray(JAVA_BYTE);
    for (byte each : bytes) {
      assertEquals(bytes[0], each);
    }
    return Character.toString(bytes[0]);
  }

  /** Changes the last byte of persistent memory that holds this letter. */
  private void damage(char letter) {
    long place = region.view().byteSize() - 1;
    while (region.view().get(JAVA_BYTE, place) != letter) {
      place--;
    }
    region.writable().set(JAVA_BYTE, place, (byte) (letter ^ 1));
  }

  private long damagedReads() {
    return cache.metrics().sum(CacheMetrics.Event.DAMAGED_READS);
  }

  // ---- data that does not fit its checksum ----

  @Test
  void damagedDirtyDataFailsItsReadsUntilItIsWrittenAgain() {
    write(0, 4096, 'x');
    write(4096, 4096, 'y');
    damage('x');
    assertEquals("error " + Errno.EIO, read(0, 4096));
    assertEquals("error " + Errno.EIO, read(0, 4096));
    assertEquals("y", read(4096, 4096));
    assertEquals(2, damagedReads());
    write(0, 4096, 'z');
    assertEquals("z", read(0, 4096));
  }

  @Test
  void ofReadsThatAreHandedOverTogetherOnlyThatOfDamagedDataFails() {
    write(0, 4096, 'x');
    write(4096, 4096, 'y');
    damage('x');
    int[] results = {PENDING, PENDING};
    ReadBatch batch = new ReadBatch();
    batch.add(0, 4096, buffer.address(), e -> results[0] = e);
    batch.add(4096, 4096, buffer.address() + 4096, e -> results[1] = e);
    queue.readAll(batch);
    assertEquals(Errno.EIO, results[0]);
    assertEquals(0, results[1]);
    assertEquals('y', buffer.get(JAVA_BYTE, 4096));
    assertEquals(1, damagedReads());
  }

  @Test
  void damagedCleanDataIsReadFromTheBackingDeviceAndCachedAnew() {
    write(0, 4096, 'x');
    assertEquals(0, cache.maintenance().writeBackAll());
    damage('x');
    assertEquals("x", read(0, 4096));
    assertEquals(1, backing.reads());
    assertEquals("x", read(0, 4096));
    assertEquals(1, backing.reads(), "the damaged data is still in use");
    assertEquals(1, damagedReads());
  }

  @Test
  void damagedDataThatAMissBroughtIsReadAgain() {
    assertEquals("b", read(8192, 8192));
    damage('b');
    assertEquals("b", read(8192, 8192));
    assertEquals(2, backing.reads());
  }

  @Test
  void damagedCleanDataDoesNotKeepACacheFromBeingServed() {
    write(0, 4096, 'x');
    write(0, 512, 'y'); // the damage to come is in what is left of the first
    assertEquals(0, cache.maintenance().writeBackAll());
    write(8192, 512, 'z');
    damage('x');
    reopen();
    assertEquals("y", read(0, 512));
    assertEquals("x", read(512, 3584));
    assertEquals("z", read(8192, 512));
    assertEquals(1, backing.reads());
  }

  @Test
  void damagedDirtyDataNeverReachesTheBackingDevice() {
    write(0, 4096, 'x');
    write(4096, 4096, 'y');
    damage('x');
    assertEquals(Errno.EBADMSG, cache.maintenance().writeBackAll());
    assertEquals(Errno.EBADMSG, cache.maintenance().lastErrno());
    assertEquals('b', slow[0]);
    assertEquals("error " + Errno.EIO, read(0, 4096), "not forgotten");

    write(0, 2048, 'z');
    assertEquals(Errno.EBADMSG, cache.maintenance().writeBackAll(), "a half of it is left");
    write(2048, 2048, 'z');
    assertEquals(0, cache.maintenance().writeBackAll());
    assertEquals(0, cache.maintenance().lastErrno());
    assertEquals('z', slow[0]);
    assertEquals('z', slow[4095]);
    assertEquals('y', slow[4096]);
  }

  // ---- describe ----

  /** One letter for each 4 KiB: d for dirty, c for clean, a dot for what is not cached. */
  private String described(long offset, long length) {
    StringBuilder text = new StringBuilder();
    int[] last = {PENDING};
    queue.describe(
        offset,
        length,
        (bytes, flags) -> {
          assertTrue(bytes > 0 && flags != last[0], "not one extent for neighbours of a kind");
          last[0] = flags;
          boolean cached = (flags & ExtentSink.CACHED) != 0;
          boolean dirty = (flags & ExtentSink.DIRTY) != 0;
          assertTrue(cached || !dirty);
          text.append((dirty ? "d" : cached ? "c" : ".").repeat((int) (bytes / 4096)));
          return true;
        });
    return text.toString();
  }

  @Test
  void describeTellsDirtyFromCleanFromUncached() {
    write(4096, 8192, 'x');
    write(12288, 4096, 'y');
    read(20480, 4096);
    assertEquals(".ddd.c..", described(0, 32768));
    assertEquals(0, cache.maintenance().writeBackAll());
    assertEquals(".ccc.c..", described(0, 32768));
    write(8192, 4096, 'z');
    assertEquals(".cdc.c..", described(0, 32768));
    assertEquals("dc.c", described(8192, 16384));
  }

  @Test
  void describeKnowsAfterReopeningWhatHasBeenWrittenBack() {
    write(0, 8192, 'x');
    assertEquals(0, cache.maintenance().writeBackAll());
    write(4096, 8192, 'y');
    reopen();
    assertEquals("cdd.", described(0, 16384));
  }

  @Test
  void whatIsWrittenDuringItsWriteBackStaysDirty() {
    write(0, 8192, 'x');
    MemorySegment other = arena.allocate(4096).fill((byte) 'y');
    backing.onWrite(() -> {
      queue.write(4096, 4096, other.address(), false, e -> errno[0] = e);
      queue.commit();
    });
    assertEquals(0, cache.maintenance().writeBackAll());
    backing.onWrite(() -> {});
    assertEquals("cd", described(0, 8192));
  }

  @Test
  void describeSpansSubtreesAndTheWholeDevice() {
    write((4 << 20) - 4096, 8192, 'x');
    String text = described(0, LOGICAL_BYTES);
    assertEquals(LOGICAL_BYTES / 4096, text.length());
    assertEquals(1023, text.indexOf("dd."));
  }

  // ---- completions that go wrong ----

  private void failStores() {
    region.watch((offset, length) -> {
      throw new OutOfMemoryError("a test");
    });
  }

  private void healStores() {
    region.watch((offset, length) -> {});
  }

  @Test
  void whatWasReadIsToldThoughItCouldNotBeCached() {
    int[] joined = {PENDING};
    backing.hold();
    queue.read(0, 4096, buffer.address(), e -> errno[0] = e);
    queue.read(0, 4096, buffer.address() + 4096, e -> joined[0] = e);
    failStores();
    assertThrows(OutOfMemoryError.class, backing::release);
    healStores();
    assertEquals(0, errno[0]);
    assertEquals(0, joined[0]);
    assertEquals(1, backing.reads());
    assertEquals("b", read(0, 4096), "and nobody joins what has ended");
    assertEquals(2, backing.reads());
  }

  @Test
  void aReadThatThrowsWhenToldKeepsTheAnswerFromNobody() {
    int[] behind = {PENDING};
    backing.hold();
    queue.read(0, 4096, buffer.address(), e -> errno[0] = e);
    queue.read(
        0,
        4096,
        buffer.address() + 4096,
        e -> {
          throw new IllegalStateException("a mistake");
        });
    queue.read(0, 4096, buffer.address() + 8192, e -> behind[0] = e);
    assertThrows(IllegalStateException.class, backing::release);
    assertEquals(0, errno[0]);
    assertEquals(0, behind[0]);
    assertEquals('b', buffer.get(JAVA_BYTE, 8192));
  }

  @Test
  void prefetchesGoOnBehindOneThatThrewWhenItWasTold() {
    prefetch(0, 4096);
    assertThrows(
        IllegalStateException.class,
        () ->
            queue.prefetch(
                0,
                4096,
                e -> {
                  throw new IllegalStateException("a mistake");
                }));
    prefetch(0, 1 << 20);
    assertEquals(0, errno[0]);
  }

  @Test
  void aPrefetchEndsAlsoIfWhatItBroughtCouldNotBeCached() {
    failStores();
    assertThrows(OutOfMemoryError.class, () -> prefetch(0, 1 << 20));
    healStores();
    assertEquals(0, errno[0]);
    prefetch(0, 1 << 20);
    assertEquals(0, errno[0]);
    assertEquals("b", read(0, 1 << 20));
  }

  // ---- prefetch ----

  private void prefetch(long offset, long length) {
    errno[0] = PENDING;
    queue.prefetch(offset, length, e -> errno[0] = e);
  }

  @Test
  void whatWasPrefetchedIsReadWithoutTheBackingDevice() {
    write(1 << 20, 4096, 'x');
    prefetch(4096, (9 << 20) - 4096);
    assertEquals(0, errno[0]);
    int reads = backing.reads();
    assertEquals("x", read(1 << 20, 4096));
    for (long at = 2 << 20; at < 9 << 20; at += 1 << 20) {
      assertEquals("b", read(at, 1 << 20));
    }
    assertEquals(reads, backing.reads());
    prefetch(4096, (9 << 20) - 4096);
    assertEquals(0, errno[0]);
    assertEquals(reads, backing.reads(), "fetched though it was there");
  }

  @Test
  void aPrefetchReadsAFewPiecesAtATimeAndCompletesWithTheLast() {
    backing.hold();
    prefetch(0, 32 << 20);
    assertEquals(8, backing.reads());
    assertEquals(PENDING, errno[0]);
    queue.read(4096, 4096, buffer.address(), e -> {});
    assertEquals(8, backing.reads(), "a read of what is on its way joins it");
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals(128, backing.reads());
  }

  @Test
  void aPrefetchEndsWithTheErrorOfTheBackingDevice() {
    backing.failReads(Errno.EIO);
    prefetch(0, 1 << 20);
    assertEquals(Errno.EIO, errno[0]);
    backing.failReads(0);
    prefetch(0, 1 << 20);
    assertEquals(0, errno[0]);
  }

  @Test
  void aPrefetchWithoutMemoryFailsAndLeavesNothingForLaterOnes() {
    boolean[] isMemory = {false};
    Prefetches prefetches =
        new Prefetches(
            cache,
            (bytes, alignment) -> {
              if (!isMemory[0]) {
                throw new OutOfMemoryError("a test");
              }
              return arena.allocate(bytes, alignment);
            });
    prefetches.add(0, 1 << 20, e -> errno[0] = e, queue);
    assertEquals(Errno.ENOMEM, errno[0]);
    assertEquals(0, backing.reads());
    isMemory[0] = true;
    prefetches.add(0, 1 << 20, e -> errno[0] = e, queue);
    assertEquals(0, errno[0]);
    assertEquals(4, backing.reads());
  }

  @Test
  void aCacheThatNeedsRoomLeavesAPrefetchAlone() {
    cache.setGcPercent(0);
    prefetch(0, 1 << 20);
    assertEquals(0, errno[0]);
    assertEquals(0, backing.reads());
  }

  // ---- sequential reads ----

  @Test
  void ofALongSequentialReadOnlyTheBeginIsCached() {
    for (int at = 0; at < 16 << 20; at += 64 << 10) {
      assertEquals("b", read(at, 64 << 10));
    }
    String text = described(0, 16 << 20);
    assertEquals((4 << 20) / 4096, text.lastIndexOf('c') + 1);
  }

  @Test
  void readsHereAndThereAreCachedHoweverMany() {
    for (int i = 0; i < 1000; i++) {
      read(i * 7919L % 1000 * 65536, 4096);
    }
    assertEquals(1000, described(0, LOGICAL_BYTES).chars().filter(c -> c == 'c').count());
  }
}
