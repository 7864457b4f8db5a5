package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.util.Map;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.metrics.Registry;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a cache says that it did. */
class CacheMetricsTest {
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final Arena arena = Arena.ofConfined();
  private final Registry registry = new Registry();
  private final Cache cache;

  CacheMetricsTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, new MemoryBacking(new byte[1 << 20]), CacheOptions.defaults());
    cache.register(registry);
  }

  @AfterEach
  void unmap() {
    cache.close();
    region.close();
    arena.close();
  }

  private void shows(Map<String, Long> expected) {
    Map<String, Long> all = registry.snapshot();
    expected.forEach((name, value) -> assertEquals(value, all.get("jpcache_" + name), name));
  }

  @Test
  void hitsAndMissesAreToldApartByRequestsAndBytesAlsoOfQueuesThatAreGone() {
    long memory = arena.allocate(8192).address();
    try (BlockQueue queue = cache.openQueue()) {
      queue.write(0, 4096, memory, false, errno -> {});
      queue.commit();
      queue.commit();
      queue.read(0, 4096, memory, errno -> assertEquals(0, errno));
      queue.read(0, 8192, memory, errno -> assertEquals(0, errno));
    }
    shows(
        Map.of(
            "read_hits_total", 1L,
            "read_misses_total", 1L,
            "read_bytes_total", 12288L,
            "read_miss_bytes_total", 4096L,
            "commits_total", 1L,
            "segments", 31L));
  }

  @Test
  void whatIsDirtyIsToldUntilItIsWrittenBack() {
    try (BlockQueue queue = cache.openQueue()) {
      queue.write(0, 4096, arena.allocate(4096).address(), false, errno -> {});
      queue.commit();
    }
    shows(Map.of("dirty_bytes", 4096L, "writeback_bytes_total", 0L, "ksets_total", 1L));
    assertEquals(0, cache.maintenance().writeBackAll());
    shows(Map.of("dirty_bytes", 0L, "writeback_bytes_total", 4096L));
  }
}
