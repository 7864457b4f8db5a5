package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jpcache.backing.MemoryBacking;
import jpcache.backing.ThrottledBacking;
import jpcache.block.BlockQueue;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How one cache of a server ends. */
@Timeout(30)
class ServedCacheTest {
  private static final int MIB = 1 << 20;
  private static final int WRITE_BYTES = 32 * MIB;

  /** What write-back has under way at most, and takes a slow device long enough. */
  private static final int UNDER_WAY_BYTES = 16 * MIB;

  private final byte[] disk = new byte[2 * WRITE_BYTES];
  private final ThrottledBacking backing =
      new ThrottledBacking(new MemoryBacking(disk), 1L << 40, 0, 32);

  @Test
  void aStopWaitsForNoMoreOfABatchThanIsUnderWayAndTheEndWritesAllBack() {
    MemoryRegion region = new MemoryRegion(512L * MIB);
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    backing.hold();
    try (ServedCache cache =
        ServedCache.open(region, backing, CacheOptions.defaults().withWriteBack(0, 0))
            .withWriteBackOnStop(true)) {
      cache.begin();
      fill(cache);
      while (backing.requestsUnderWay() == 0) {
        Thread.onSpinWait();
      }
      cache.stopWaiting();
      backing.release();
      cache.stopMaintenance(true);
      long written = backing.writtenBytes();
      assertTrue(0 < written && written <= UNDER_WAY_BYTES, written + " bytes");
      cache.writeBackIfWanted();
      byte[] expected = new byte[disk.length];
      Arrays.fill(expected, (byte) 'x');
      assertEquals(-1, Arrays.mismatch(expected, disk));
    }
  }

  private static void fill(ServedCache cache) {
    try (Arena arena = Arena.ofConfined();
        BlockQueue queue = cache.cache().openQueue()) {
      MemorySegment data = arena.allocate(WRITE_BYTES).fill((byte) 'x');
      for (long at = 0; at < cache.sizeBytes(); at += WRITE_BYTES) {
        queue.write(at, WRITE_BYTES, data.address(), false, errno -> assertEquals(0, errno));
        queue.commit();
      }
    }
  }
}
