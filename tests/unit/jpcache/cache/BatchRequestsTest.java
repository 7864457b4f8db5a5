package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.lang.foreign.Arena;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Requests of write-back that find no memory. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BatchRequestsTest {
  private static final int BLOCK = 4096;

  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemoryBacking backing = new MemoryBacking(new byte[1 << 20]);
  private final Cache cache;
  private final WriteBatch writes = new WriteBatch();
  private boolean isMemory;
  private final BatchRequests requests;

  BatchRequestsTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, backing, CacheOptions.defaults());
    requests =
        new BatchRequests(
            region,
            cache.segments(),
            cache.zeros(),
            backing,
            cache.map(),
            cache.directWrites(),
            (bytes, alignment) -> {
              if (!isMemory) {
                throw new OutOfMemoryError("a test");
              }
              return Arena.ofAuto().allocate(bytes, alignment);
            });
    writes.add(0, BLOCK, 0, 0);
    writes.add(BLOCK, BLOCK, 0, 2 * BLOCK); // a neighbour that lies elsewhere: both are gathered
    writes.plan();
  }

  @AfterEach
  void unmap() {
    region.close();
  }

  private void write() {
    requests.begin();
    requests.write(writes, 0, 2, cache.directWrites().order().takeForWriteBack(0, 2 * BLOCK));
  }

  @Test
  void oneThatFindsNoMemoryFailsTheBatchAndIsNotUnderWay() {
    write();
    assertEquals(Errno.ENOMEM, requests.errno());
    assertFalse(requests.awaitSome());
    assertEquals(0, requests.flush());
  }

  @Test
  void oneThatFindsNoMemoryIsInNobodysWay() {
    write();
    int[] direct = {0};
    DeviceOrder order = cache.directWrites().order();
    order.go(order.enter(BLOCK, BLOCK, () -> direct[0]++));
    assertEquals(1, direct[0]);
  }

  @Test
  void theNextTryGoesOn() {
    write();
    isMemory = true;
    write();
    assertEquals(0, requests.errno());
    assertEquals(2 * BLOCK, requests.endedBytes());
    assertEquals(2 * BLOCK, backing.writtenBytes());
  }
}
