package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import jpcache.backing.MemoryBacking;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;

/** What is counted of direct writes. */
class DirectWritesTest {
  private static final int TOO_MUCH_BYTES = Integer.MAX_VALUE & -4096;

  @Test
  void aWriteThatFindsNoMemoryIsNotCounted() {
    // The limit of memory outside the heap is that of the heap unless somebody sets it.
    assumeTrue(Runtime.getRuntime().maxMemory() < TOO_MUCH_BYTES);
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_THROUGH, 70);
      MemoryBacking backing = new MemoryBacking(new byte[1 << 20]);
      DirectWrites writes = Cache.open(region, backing, CacheOptions.defaults()).directWrites();
      assertThrows(
          OutOfMemoryError.class, () -> writes.stage(0, TOO_MUCH_BYTES, 0, false, errno -> {}));
      assertTrue(writes.isQuiet());
    }
  }
}
