package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaFormatter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;

/** The end of the log on media that are full of old bytes. */
class LogHeadTest {
  private static final int ONE_KEY_BYTES = Kset.sizeBytes(1);
  private static final int LAST_KSET_BYTES = Layout.KSET_HEADER_BYTES;
  private static final int WRITE_BYTES = 512;

  private int ksets;
  private int lastKsets;
  private long previousOffset;
  private long previousLength;

  @Test
  void whateverAPowerCutKeepsNoOldBytesFollowTheNewestKset() {
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      region.writable().fill((byte) 0xA5);
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 90);
      CacheOptions options = CacheOptions.defaults().withLanes(1);
      MemoryBacking backing = new MemoryBacking(new byte[1 << 20]);
      Cache cache = Cache.open(region, backing, options);
      region.watch((offset, length) -> check(region.view(), offset, length));
      MemorySegment data = arena.allocate(WRITE_BYTES);
      try (BlockQueue queue = cache.openQueue()) {
        while (lastKsets < 2) {
          queue.write(0, WRITE_BYTES, data.address(), false, e -> assertEquals(0, e));
          queue.commit();
        }
      }
      region.watch((offset, length) -> {});
      assertTrue(ksets > 2 * Layout.SEGMENT_DATA_BYTES / ONE_KEY_BYTES - 10, "ksets: " + ksets);
      Position head = cache.log().head().position();
      assertEquals(head, Cache.open(region, backing, options).log().head().position());
    }
  }

  /** Called before each store; all stores of the log's are durable before the next begins. */
  private void check(MemorySegment view, long offset, long length) {
    if (length == ONE_KEY_BYTES) {
      ksets++;
      requireZeros(view, offset + length);
    } else if (length == LAST_KSET_BYTES) {
      lastKsets++;
      // The store before it has made the next segment an empty log.
      assertTrue(previousLength >= LAST_KSET_BYTES, "nothing was zeroed before the last kset");
      requireZeros(view, previousOffset);
    }
    previousOffset = offset;
    previousLength = length;
  }

  private static void requireZeros(MemorySegment view, long from) {
    for (long at = from; at < from + LAST_KSET_BYTES; at++) {
      assertEquals(0, view.get(JAVA_BYTE, at), "an old byte behind the kset, at " + at);
    }
  }
}
