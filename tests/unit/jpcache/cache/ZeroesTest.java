package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
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
    StringBuilder text = new StringBuilder();
    for (int from = 0, to; from < LOGICAL_BYTES; from = to) {
      byte fill = buffer.get(JAVA_BYTE, from);
      for (to = from + 1; to < LOGICAL_BYTES && buffer.get(JAVA_BYTE, to) == fill; ) {
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

  @Test
  void describeStopsWhenTheSinkHasEnough() {
    write(4096, 4096, 'x');
    queue.commit();
    int[] told = {0};
    queue.describe(0, LOGICAL_BYTES, (length, flags) -> ++told[0] < 2);
    assertEquals(2, told[0]);
  }
}
