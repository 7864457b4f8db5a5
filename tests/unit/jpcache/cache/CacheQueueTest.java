package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What one client may rely on. */
class CacheQueueTest {
  private static final int PENDING = -1;

  private final byte[] slow = new byte[16 << 20];
  private final MemoryBacking backing = new MemoryBacking(slow);
  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(1 << 20);
  private final int[] errno = {PENDING};
  private BlockQueue queue;

  CacheQueueTest() {
    Arrays.fill(slow, (byte) 'b');
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    queue = open(Durability.ACK);
  }

  private BlockQueue open(Durability durability) {
    return Cache.open(
            region, backing, CacheOptions.defaults().withLanes(1).withDurability(durability))
        .openQueue();
  }

  @AfterEach
  void unmap() {
    queue.close();
    region.close();
    arena.close();
  }

  private void write(long offset, int length, char fill) {
    buffer.asSlice(0, length).fill((byte) fill);
    queue.write(offset, length, buffer.address(), false, e -> errno[0] = e);
  }

  private byte[] read(long offset, int length) {
    int[] result = {PENDING};
    queue.read(offset, length, buffer.address(), e -> result[0] = e);
    assertEquals(0, result[0]);
    return buffer.asSlice(0, length).toArray(JAVA_BYTE);
  }

  @Test
  void aWriteCompletesInItsCommitAndNotBefore() {
    write(0, 4096, 'x');
    assertEquals(PENDING, errno[0]);
    queue.commit();
    assertEquals(0, errno[0]);
    assertEquals('x', read(0, 4096)[4095]);
  }

  @Test
  void anAcknowledgedWriteIsThereWithoutAnOrderlyStop() {
    write(8192, 512, 'x');
    queue.commit();
    queue = open(Durability.ACK);
    assertEquals('x', read(8192, 512)[0]);
  }

  @Test
  void withDurabilityFlushAWriteNeedsAFlushToSurvive() {
    queue = open(Durability.FLUSH);
    write(0, 512, 'x');
    queue.commit();
    assertEquals('x', read(0, 512)[0], "visible at once");
    queue = open(Durability.FLUSH);
    assertEquals('b', read(0, 512)[0], "not durable without a flush");

    write(0, 512, 'y');
    queue.commit();
    queue.flush(e -> errno[0] = e);
    queue.commit();
    queue = open(Durability.FLUSH);
    assertEquals('y', read(0, 512)[0]);
  }

  @Test
  void withDurabilityFlushFuaMakesAWriteDurable() {
    queue = open(Durability.FLUSH);
    buffer.fill((byte) 'f');
    queue.write(0, 512, buffer.address(), true, e -> errno[0] = e);
    queue.commit();
    queue = open(Durability.FLUSH);
    assertEquals('f', read(0, 512)[0]);
  }

  @Test
  void aReadOfCachedBytesNeedsNoBackingDevice() {
    write(4096, 4096, 'x');
    queue.commit();
    read(4096, 4096);
    assertEquals(0, backing.reads());
  }

  @Test
  void aReadWithHolesCompletesWhenTheBackingDeviceHasFilledThem() {
    write(4096, 4096, 'x');
    write(12288, 4096, 'y');
    queue.commit();
    errno[0] = PENDING;
    backing.hold();
    queue.read(0, 20480, buffer.address(), e -> errno[0] = e);
    assertEquals(PENDING, errno[0]);
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals(3, backing.reads());
    byte[] expected = new byte[20480];
    Arrays.fill(expected, (byte) 'b');
    Arrays.fill(expected, 4096, 8192, (byte) 'x');
    Arrays.fill(expected, 12288, 16384, (byte) 'y');
    assertArrayEquals(expected, buffer.asSlice(0, 20480).toArray(JAVA_BYTE));
  }

  @Test
  void aMissIsCachedAndAMissNoLonger() {
    assertEquals('b', read(65536, 8192)[0]);
    assertEquals('b', read(65536, 8192)[8191]);
    assertEquals(1, backing.reads());
  }

  @Test
  void whatAMissBroughtIsCleanAndSurvivesReopening() {
    read(65536, 4096);
    write(0, 512, 'x');
    queue.commit(); // closes the kset that the clean key is in
    queue = open(Durability.ACK);
    Arrays.fill(slow, (byte) 'c'); // nobody may do this, but it shows where data comes from
    assertEquals('b', read(65536, 4096)[0]);
  }

  @Test
  void missesOfTheSameBytesShareABackingRead() {
    backing.hold();
    int[] results = {PENDING, PENDING};
    MemorySegment first = arena.allocate(8192);
    MemorySegment second = arena.allocate(512);
    queue.read(65536, 8192, first.address(), e -> results[0] = e);
    queue.read(65536 + 1024, 512, second.address(), e -> results[1] = e);
    assertEquals(1, backing.reads());
    backing.release();
    assertArrayEquals(new int[] {0, 0}, results);
    assertEquals('b', first.get(JAVA_BYTE, 8191));
    assertEquals('b', second.get(JAVA_BYTE, 511));
  }

  @Test
  void aLateFillDoesNotBringBackWhatAWriteHasReplaced() {
    backing.hold();
    MemorySegment late = arena.allocate(8192);
    queue.read(65536, 8192, late.address(), e -> {});
    write(65536 + 512, 512, 'x');
    queue.commit();
    backing.release();
    byte[] now = read(65536, 8192);
    assertEquals('b', now[0]);
    assertEquals('x', now[512]);
    assertEquals('b', now[1024]);
  }

  @Test
  void aReadAfterAWriteDoesNotJoinABackingReadFromBefore() {
    backing.hold();
    MemorySegment early = arena.allocate(8192);
    queue.read(65536, 8192, early.address(), e -> {});
    write(65536 + 512, 512, 'x');
    queue.commit();
    queue.read(65536, 8192, early.address(), e -> {});
    assertEquals(3, backing.reads(), "two holes of its own beside the first read");
    backing.release();
  }

  @Test
  void aLargeReadIsNotCached() {
    byte[] wanted = new byte[4 << 20];
    MemorySegment large = arena.allocate(wanted.length);
    queue.read(0, wanted.length, large.address(), e -> errno[0] = e);
    queue.read(0, wanted.length, large.address(), e -> errno[0] = e);
    assertEquals(0, errno[0]);
    assertEquals(2, backing.reads());
  }

  @Test
  void aMissDoesNotHoldUpTheHitBehindIt() {
    write(0, 512, 'x');
    queue.commit();
    backing.hold();
    int[] miss = {PENDING};
    try (Arena other = Arena.ofConfined()) {
      queue.read(65536, 512, other.allocate(512).address(), e -> miss[0] = e);
      assertEquals('x', read(0, 512)[0]);
      assertEquals(PENDING, miss[0]);
      backing.release();
      assertEquals(0, miss[0]);
    }
  }

  @Test
  void aFailedBackingReadFailsThatRequestAlone() {
    write(0, 512, 'x');
    queue.commit();
    backing.failReads(Errno.EIO);
    queue.read(0, 1024, buffer.address(), e -> errno[0] = e);
    assertEquals(Errno.EIO, errno[0]);
    assertEquals('x', read(0, 512)[0]);
    backing.failReads(0);
    assertEquals('b', read(512, 512)[0], "an error is not cached");
  }

  @Test
  void whatWasNotCommittedIsDroppedWithItsQueue() {
    write(0, 512, 'x');
    queue.close();
    queue = open(Durability.ACK);
    assertEquals('b', read(0, 512)[0]);
    assertEquals(Errno.ESHUTDOWN, errno[0]);
  }

  @Test
  void closingCompletesWhatWasNotCommittedAndEachOnlyOnce() {
    for (CacheMode mode : CacheMode.values()) {
      MediaFormatter.format(region, false, mode, 70);
      queue = open(Durability.ACK);
      List<Integer> ended = new ArrayList<>();
      queue.write(0, 512, buffer.address(), false, ended::add);
      queue.flush(ended::add);
      queue.writeZeroes(8 << 20, 8 << 20, true, false, ended::add);
      queue.close();
      queue.close();
      assertEquals(Collections.nCopies(3, Errno.ESHUTDOWN), ended, mode.toString());
    }
  }

  /** As a shortage of memory may do it, anywhere. */
  @Test
  void ofABatchInWhichAMethodThrowsEachRequestCompletesOnce() {
    for (CacheMode mode : List.of(CacheMode.WRITE_BACK, CacheMode.WRITE_THROUGH)) {
      MediaFormatter.format(region, false, mode, 70);
      queue = open(Durability.ACK);
      List<Integer> ended = new ArrayList<>();
      queue.write(0, 512, buffer.address(), false, ended::add);
      queue.flush(ended::add);
      region.watch((offset, length) -> {
        throw new IllegalStateException("a test");
      });
      assertThrows(
          IllegalStateException.class,
          () -> queue.write(8192, 512, buffer.address(), false, e -> ended.add(-e)));
      assertEquals(List.of(-Errno.EIO), ended, mode.toString());
      queue.close();
      region.watch((offset, length) -> {});
      assertEquals(List.of(-Errno.EIO, Errno.ESHUTDOWN, Errno.ESHUTDOWN), ended, mode.toString());
    }
  }

  @Test
  void aCommitThatThrowsLeavesTheDataToTheKeysThatHaveEntered() {
    Cache cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
    queue = cache.openQueue();
    List<Integer> ended = new ArrayList<>();
    for (int i = 0; i < 20; i++) { // more than a segment, which then only its keys keep
      queue.write((long) (i % 16) << 20, 1 << 20, buffer.address(), false, ended::add);
    }
    int used = cache.segments().usedCount();
    region.watch((offset, length) -> {
      throw new IllegalStateException("a test");
    });
    assertThrows(IllegalStateException.class, queue::commit);
    queue.close();
    region.watch((offset, length) -> {});
    assertEquals(used, cache.segments().usedCount());
    assertEquals(Collections.nCopies(20, Errno.ESHUTDOWN), ended);
  }

  @Test
  void dataThatDoesNotFitItsChecksumIsNotServed() {
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 70);
    queue = open(Durability.ACK);
    write(4096, 4096, 'x');
    queue.commit();
    queue = open(Durability.ACK);
    assertEquals('x', read(4096, 4096)[0]);
    long place = region.view().byteSize() - 1;
    while (region.view().get(JAVA_BYTE, place) != 'x') {
      place--;
    }
    region.writable().set(JAVA_BYTE, place, (byte) 'y');
    UserException refused = assertThrows(UserException.class, () -> open(Durability.ACK));
    String message = String.valueOf(refused.getMessage());
    assertTrue(message.contains("data_crc"), message);
    assertTrue(message.contains("4096 to 8192"), message);
  }
}
