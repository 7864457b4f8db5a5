package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Ranges that are made zeros, with and without their space given up. */
class ZeroesTest {
  private static final int PENDING = -1;
  private static final int LOGICAL_BYTES = 40 << 20;

  private final byte[] slow = new byte[LOGICAL_BYTES];
  private final MemoryBacking backing = new MemoryBacking(slow);
  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(LOGICAL_BYTES);
  private final int[] errno = {PENDING};
  private Cache cache;
  private BlockQueue queue;

  ZeroesTest() {
    Arrays.fill(slow, (byte) 'b');
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 70);
    cache = open();
    queue = cache.openQueue();
  }

  private Cache open() {
    return Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
  }

  @AfterEach
  void unmap() {
    queue.close();
    region.close();
    arena.close();
  }

  private void write(long offset, int length, char fill) {
    MemorySegment data = buffer.asSlice(offset, length).fill((byte) fill);
    queue.write(offset, length, data.address(), false, e -> errno[0] = e);
  }

  private void zero(long offset, long length, boolean unmap) {
    errno[0] = PENDING;
    queue.writeZeroes(offset, length, unmap, false, e -> errno[0] = e);
  }

  /** The device's bytes, as one letter for each run of equal ones and its length in sectors. */
  private String content() {
    int[] result = {PENDING};
    for (int at = 0; at < LOGICAL_BYTES; at += 4 << 20) {
      queue.read(at, 4 << 20, buffer.address() + at, e -> result[0] = e);
      assertEquals(0, result[0]);
    }
    return text(buffer.toArray(JAVA_BYTE));
  }

  private static String text(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (int from = 0, to; from < bytes.length; from = to) {
      byte fill = bytes[from];
      for (to = from + 1; to < bytes.length && bytes[to] == fill; ) {
        to++;
      }
      text.append((to - from) / 512).append(fill == 0 ? '.' : (char) fill).append(' ');
    }
    return text.toString();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aZeroedRangeReadsAsZerosFromItsCommitOnAndAfterACrash(boolean unmap) {
    zero(512, (33 << 20) - 1024, unmap);
    assertEquals(PENDING, errno[0]);
    queue.commit();
    assertEquals(0, errno[0]);
    assertEquals("1b 67582. 14337b ", content());
    queue = open().openQueue();
    assertEquals("1b 67582. 14337b ", content());
  }

  /**
   * Else O_DIRECT would not take it from where it is, and blocks would be cut at segments' ends.
   */
  @Test
  void dataBehindTheSharedZerosLiesAtWholePages() {
    zero(0, 4096, true);
    queue.commit();
    DataHead.Room room = new DataHead.Room();
    assertTrue(cache.takeRoom(0, 4096, room));
    assertEquals(0, room.offsetBytes % 4096, "data at " + room.offsetBytes);
  }

  @Test
  void ofABatchTheLaterOfZerosAndDataWins() {
    write(0, 8192, 'x');
    zero(4096, 8192, true);
    write(8192, 512, 'y');
    queue.commit();
    assertEquals("8x 8. 1y 7. 81896b ", content());
  }

  @Test
  void theWholeDeviceMayBeZeroedAtOnce() {
    write(8 << 20, 4096, 'x');
    queue.commit();
    zero(0, LOGICAL_BYTES, true);
    queue.commit();
    assertEquals("81920. ", content());
    assertEquals(0, backing.reads());
  }

  private void reopen() {
    queue.close();
    cache = open();
    queue = cache.openQueue();
  }

  private void writeAllBack() {
    assertEquals(0, cache.maintenance().writeBackAll());
  }

  @Test
  void belowADiscardIsUnmappedOtherZerosKeepTheirSpaceAndNothingIsWritten() {
    zero(512, 9 << 20, true);
    zero(16 << 20, 8 << 20, false);
    queue.commit();
    writeAllBack();
    assertEquals(9 << 20, backing.unmappedBytes());
    assertEquals(8 << 20, backing.zeroedBytes());
    assertEquals(0, backing.writtenBytes());
    assertEquals(content(), text(slow));
  }

  @Test
  void whatMayBeUnmappedIsStillKnownAfterACrash() {
    zero(512, 9 << 20, true);
    zero(16 << 20, 8 << 20, false);
    queue.commit();
    reopen();
    writeAllBack();
    assertEquals(9 << 20, backing.unmappedBytes());
    assertEquals(8 << 20, backing.zeroedBytes());
  }

  @Test
  void muchDataThatIsAllZerosIsZeroedBelowAndKeepsItsSpace() {
    write(0, 64 << 10, '\0');
    write(1 << 20, 4096, '\0');
    write(2 << 20, 64 << 10, '\0');
    MemorySegment almost = buffer.asSlice(3 << 20, 128 << 10).fill((byte) 0);
    almost.set(JAVA_BYTE, almost.byteSize() - 1, (byte) 1);
    queue.write(3 << 20, 128 << 10, almost.address(), false, e -> errno[0] = e);
    queue.commit();
    writeAllBack();
    assertEquals(128 << 10, backing.zeroedBytes());
    assertEquals(4096 + (128 << 10), backing.writtenBytes());
    assertEquals(0, backing.unmappedBytes());
    assertEquals(content(), text(slow));
  }

  /** Otherwise each crash would cost a segment for as long as the log has keys into it. */
  @Test
  void theSameZerosAreUsedAfterACrashAsBefore() {
    zero(0, 4096, true);
    queue.commit();
    int used = cache.status().segmentsUsed();
    for (int crash = 0; crash < 10; crash++) {
      reopen();
      zero(4096L * crash, 4096, true);
      queue.commit();
    }
    assertEquals(used, cache.status().segmentsUsed());
  }

  /** Or keys to come would point to what else is put there. */
  @Test
  void zerosOfAnEarlierSessionStayWhenTheLastKeyOfThatHasGone() {
    cache.setGcPercent(0);
    zero(0, 4096, true);
    queue.commit();
    reopen();
    writeAllBack();
    while (cache.maintenance().step(System.nanoTime()) == 0) {
      // until all is collected
    }
    assertEquals(0, cache.map().subtree(0).size());
    assertEquals(2, cache.status().segmentsUsed(), "the log's segment and the zeros'");
    zero(8192, 4096, true);
    queue.commit();
    assertEquals("8. 8b 8. 81896b ", content());
  }

  /**
   * Both keys of zeros point to one place, so the older one, when it is collected, must not be
   * taken for the newer, which covers what the backing device has of the write between them.
   */
  @Test
  void anOlderKeyOfZerosThatIsCollectedUncoversNothing() {
    cache.setGcPercent(0);
    zero(0, 8 << 20, true);
    queue.commit();
    write(4096, 4096, 'x');
    queue.commit();
    writeAllBack();
    zero(0, 8 << 20, true);
    queue.commit();
    content(); // what has been read might be kept, and covered by a clean key
    backing.failWrites(Errno.EIO);
    cache.maintenance().step(System.nanoTime());
    assertEquals(cache.tails().dirtyTail(), cache.tails().keyTail(), "the older ones are gone");
    assertEquals('x', slow[4096]);
    assertEquals("16384. 65536b ", content());
    backing.failWrites(0);
    writeAllBack();
    while (cache.maintenance().step(System.nanoTime()) == 0) {
      // until all is collected
    }
    assertEquals(0, cache.map().subtree(0).size());
    assertEquals("16384. 65536b ", content());
    assertEquals(content(), text(slow));
  }

  private void begin(CacheMode mode) {
    queue.close();
    MediaFormatter.format(region, true, mode, 70);
    cache = open();
    queue = cache.openQueue();
  }

  @ParameterizedTest
  @EnumSource(names = {"WRITE_THROUGH", "WRITE_AROUND"})
  void inDirectModesTheDeviceHasZerosBeforeTheyAreAnsweredAndThenNoMore(CacheMode mode) {
    begin(mode);
    write(0, 8192, 'x');
    queue.commit();
    backing.hold();
    zero(4096, 9 << 20, true);
    queue.commit();
    assertEquals(PENDING, errno[0]);
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals("8x 18432. 63480b ", text(slow));
    reopen(); // as after a power cut
    assertEquals("8x 18432. 63480b ", content());
    long before = backing.writtenBytes();
    zero(0, 4096, false);
    queue.commit();
    writeAllBack();
    assertEquals(18 << 20, backing.unmappedBytes(), "replay finds them dirty: once more");
    assertEquals(4096, backing.zeroedBytes(), "once");
    assertEquals(before, backing.writtenBytes(), "nothing is left of what was written");
    assertEquals(text(slow), content());
  }

  @Test
  void aDeviceThatCannotZeroIsToldInDirectModesAndRepairedLater() {
    begin(CacheMode.WRITE_THROUGH);
    backing.failWrites(Errno.EIO);
    zero(0, 8 << 20, true);
    queue.commit();
    assertEquals(Errno.EIO, errno[0]);
    backing.failWrites(0);
    writeAllBack();
    assertEquals("16384. 65536b ", text(slow));
    assertEquals("16384. 65536b ", content());
  }

  /** Whoever writes can write the mark as well, at the place where it would be looked for. */
  @Test
  void aMarkThatAClientHasWrittenIsNotBelieved() {
    writeMark(0);
    write(8192, 4096, 'x');
    queue.commit();
    reopen();
    assertEquals('x', (byte) content().charAt(content().indexOf('x')));
    writeAllBack();
    assertEquals('x', slow[8192]);
    assertEquals(0, backing.zeroedBytes() + backing.unmappedBytes());
  }

  /** As who keeps a cache's image on a cache. */
  @Test
  void zerosThatAClientHasWrittenBehindAMarkAreItsDataAfterACrash() {
    cache.setGcPercent(0);
    writeMark(32 << 20);
    write(0, 1024, '\0');
    queue.commit();
    writeAllBack();
    for (int at = 64 << 10; at < 6 << 20; at += 64 << 10) {
      write(at, 64 << 10, '\0');
    }
    queue.commit();
    long dirtyBytes = cache.dirtyBytes();
    reopen();
    assertEquals(dirtyBytes, cache.dirtyBytes());
    backing.failWrites(Errno.EIO);
    cache.maintenance().step(System.nanoTime());
    assertEquals(cache.tails().dirtyTail(), cache.tails().keyTail(), "the first are gone");
    assertTrue(content().startsWith("2. 126b 12160. "), this::content);
    backing.failWrites(0);
    writeAllBack();
    assertEquals(content(), text(slow));
    assertEquals(0, backing.unmappedBytes());
  }

  private void writeMark(long offset) {
    MemorySegment mark =
        buffer
            .asSlice(offset, 512)
            .fill((byte) 0)
            .copyFrom(MemorySegment.ofArray("jpcache: zeros\n".getBytes(US_ASCII)));
    queue.write(offset, 512, mark.address(), false, e -> errno[0] = e);
  }

  @Test
  void zerosCountForLittleDirtyDataBeforeAndAfterACrash() {
    zero(0, LOGICAL_BYTES, true);
    queue.commit();
    assertEquals(10 * ZeroExtents.KEY_COST_BYTES, cache.dirtyBytes());
    reopen();
    assertEquals(10 * ZeroExtents.KEY_COST_BYTES, cache.dirtyBytes());
    write(0, 4096, 'x');
    queue.commit();
    writeAllBack();
    assertEquals(0, cache.dirtyBytes());
  }

  @Test
  void theCheckerFindsNothingWrongWithSharedZeros() {
    zero(0, LOGICAL_BYTES, true);
    write(0, 4096, 'x');
    zero(2048, 1024, false);
    queue.commit();
    FsckReport report = new Fsck("cache", region.view(), backing, false, phase -> {}).run();
    assertEquals(0, report.problems() + report.notices(), report.toString());
  }

  /** 64 lanes hold all segments between them, and none is free for the zeros at first. */
  @Test
  void aFullCacheMakesRoomForZerosAndForMoreKeysThanOneCommitTakes() {
    queue.close();
    cache =
        Cache.open(
            region, backing, CacheOptions.defaults().withLanes(64).withDurability(Durability.ACK));
    List<BlockQueue> queues = new ArrayList<>();
    for (int i = 0; i < 64; i++) {
      queues.add(cache.openQueue());
    }
    buffer.fill((byte) 'x');
    int[] answered = {0};
    int written = 0;
    while (cache.backlog().isEmpty()) {
      BlockQueue writer = queues.get(written++ % 64);
      writer.write(0, 3 << 20, buffer.address(), false, e -> answered[0] += e == 0 ? 1 : 0);
      writer.commit();
    }
    queue = queues.getFirst();
    zero(0, LOGICAL_BYTES, true);
    queue.commit();
    assertEquals(PENDING, errno[0]);
    for (int step = 0; errno[0] == PENDING; step++) {
      cache.maintenance().step(System.nanoTime());
      assertTrue(step < 10_000, "no progress");
    }
    assertEquals(0, errno[0]);
    assertEquals(written, answered[0]);
    assertEquals("81920. ", content());
    queues.forEach(BlockQueue::close);
    queue = cache.openQueue();
  }

  @Test
  void describeTellsCachedFromUncached() {
    write(4096, 4096, 'x');
    write((4 << 20) - 4096, 8192, 'y');
    queue.commit();
    long[] bytes = new long[6];
    int[] run = {-1};
    int[] last = {PENDING};
    queue.describe(
        512,
        8 << 20,
        (length, flags) -> { // neighbours that are alike may be told apart
          run[0] += flags == last[0] ? 0 : 1;
          bytes[run[0]] += length;
          last[0] = flags;
          assertEquals(run[0] % 2 == 0 ? 0 : ExtentSink.CACHED, flags & ExtentSink.CACHED);
          return true;
        });
    long between = (4 << 20) - 4096 - 8192;
    assertArrayEquals(new long[] {3584, 4096, between, 8192, 4190720, 0}, bytes);
  }

  /** As long as an older key of zeros is written back and a newer is not, they are not clean. */
  @Test
  void describeTellsZerosAndWhetherTheyAreDirty() {
    int dirty = ExtentSink.CACHED | ExtentSink.DIRTY | ExtentSink.ZERO;
    zero(0, 4 << 20, true);
    queue.commit();
    assertEquals(dirty, flagsOfFirstExtent());
    writeAllBack();
    assertEquals(ExtentSink.CACHED | ExtentSink.ZERO, flagsOfFirstExtent());
    zero(0, 4 << 20, true);
    queue.commit();
    assertEquals(dirty, flagsOfFirstExtent());
    backing.failWrites(Errno.EIO);
    assertEquals(Errno.EIO, cache.maintenance().writeBackAll());
    assertEquals(dirty, flagsOfFirstExtent());
    reopen();
    assertEquals(dirty, flagsOfFirstExtent());
    backing.failWrites(0);
    writeAllBack();
    assertEquals(ExtentSink.CACHED | ExtentSink.ZERO, flagsOfFirstExtent());
    reopen();
    assertEquals(ExtentSink.CACHED | ExtentSink.ZERO, flagsOfFirstExtent());
  }

  private int flagsOfFirstExtent() {
    int[] first = {PENDING};
    queue.describe(
        0,
        4 << 20,
        (length, flags) -> {
          first[0] = flags;
          return false;
        });
    return first[0];
  }

  @Test
  void describeStopsWhenTheSinkHasEnough() {
    write(4096, 4096, 'x');
    queue.commit();
    int[] told = {0};
    queue.describe(0, LOGICAL_BYTES, (length, flags) -> ++told[0] < 2);
    assertEquals(2, told[0]);
  }
}
