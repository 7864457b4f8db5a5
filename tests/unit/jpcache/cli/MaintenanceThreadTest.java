package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** That write-back goes on, whatever happens in a step of it. */
@Timeout(60)
class MaintenanceThreadTest {
  @Test
  void aStepThatThrowsIsFollowedByTheNext() throws Exception {
    AtomicBoolean thrown = new AtomicBoolean();
    try (MemoryRegion region = new MemoryRegion(512L << 20);
        Arena arena = Arena.ofConfined()) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
      Cache cache =
          Cache.open(
              region,
              new MemoryBacking(new byte[1 << 20]),
              CacheOptions.defaults().withWriteBack(0, 0));
      try (BlockQueue queue = cache.openQueue()) {
        queue.write(0, 4096, arena.allocate(4096).address(), false, e -> assertEquals(0, e));
        queue.commit();
      }
      region.watch((offset, length) -> {
        if (isDirtyTail(offset) && !thrown.getAndSet(true)) {
          throw new StackOverflowError("a test");
        }
      });
      MaintenanceThread thread = MaintenanceThread.start(cache);
      while (!cache.status().dirtyTail().equals(cache.status().keyHead())) {
        Thread.sleep(1);
      }
      assertTrue(thrown.get());
      assertTrue(thread.stop(10_000));
    }
  }

  private static boolean isDirtyTail(long offset) {
    return offset == MediaBuilder.dirtyTailAt(0).offsetBytes()
        || offset == MediaBuilder.dirtyTailAt(1).offsetBytes();
  }
}
