package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What write-back finds damaged before it goes to the backing device. */
class DirtyDataCheckTest {
  private static final int BLOCK = 4096;

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(BLOCK);
  private final byte[] slow = new byte[8 << 20];
  private final Cache cache = open();
  private final BlockQueue queue = cache.openQueue();

  private Cache open() {
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 0);
    return Cache.open(region, new MemoryBacking(slow), CacheOptions.defaults().withLanes(1));
  }

  @AfterEach
  void close() {
    queue.close();
    cache.close();
    region.close();
    arena.close();
  }

  private void write(char fill) {
    int[] result = {-1};
    buffer.fill((byte) fill);
    queue.write(0, BLOCK, buffer.address(), false, errno -> result[0] = errno);
    queue.commit();
    assertEquals(0, result[0]);
  }

  /** Has the lane go round all segments, with nothing in them that write-back would look at. */
  private void recycle() {
    DataHead.Room room = new DataHead.Room();
    do {
      assertTrue(cache.takeRoom(0, Layout.SEGMENT_DATA_BYTES, room));
      cache.segments().release(room.segment);
      cache.freeUsedUpLanes();
    } while (room.segment + 1 < cache.segments().count());
  }

  @Test
  void dataInARecycledSegmentIsNotTakenForWhatWasInItsPlaceBefore() {
    write('x');
    assertEquals(0, cache.maintenance().writeBackAll());
    while (cache.maintenance().step(System.nanoTime()) == 0) {
      // until the key is collected
    }
    long generation = cache.segments().generation(1);
    recycle();
    assertEquals(generation + 1, cache.segments().generation(1), "its data has gone");
    write('y');
    assertEquals(0, cache.maintenance().writeBackAll());
    assertEquals('y', slow[0]);
  }
}
