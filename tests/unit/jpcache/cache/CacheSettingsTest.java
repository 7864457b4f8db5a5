package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import jpcache.backing.MemoryBacking;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What can be changed of a cache while it is served. */
class CacheSettingsTest {
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final Cache cache;

  CacheSettingsTest() {
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, new MemoryBacking(new byte[1 << 20]), CacheOptions.defaults());
  }

  @AfterEach
  void unmap() {
    cache.close();
    region.close();
  }

  private CacheInfo onMedia() {
    return CacheMedia.read("memory", region.view()).info();
  }

  @Test
  void theGcPercentageIsInEffectAndOnMediaAndNothingElseChanges() {
    CacheInfo before = onMedia();
    for (int percent : new int[] {0, 90, 1, 64}) {
      cache.setGcPercent(percent);
      assertEquals(percent, cache.gcPercent());
      assertEquals(percent, cache.status().info().gcPercent());
      assertEquals(before.withGcPercent(percent), onMedia());
      assertTrue(onMedia().dataCrc());
    }
    assertEquals(before, onMedia().withGcPercent(before.gcPercent()));
  }

  @Test
  void aModeThatCannotBeStoredIsNeitherInForceNorStoredLater() {
    region.watch((offset, length) -> {
      throw new UncheckedIOException(new IOException("a test"));
    });
    assertThrows(UncheckedIOException.class, () -> cache.setMode(CacheMode.WRITE_THROUGH));
    region.watch((offset, length) -> {});
    assertEquals(CacheMode.WRITE_BACK, cache.mode());
    assertFalse(cache.policy().isDirect());
    cache.settings().storeMode();
    assertEquals(CacheMode.WRITE_BACK, onMedia().mode());
  }

  @Test
  void aPercentageThatTheKernelWouldNotTakeIsRefused() {
    for (int percent : new int[] {-1, 91, 127, Integer.MAX_VALUE}) {
      assertThrows(UserException.class, () -> cache.setGcPercent(percent));
    }
    assertEquals(70, onMedia().gcPercent());
  }
}
