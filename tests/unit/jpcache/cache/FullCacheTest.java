package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Without garbage collection a cache fills up; then it refuses writes and loses nothing. */
class FullCacheTest {
  private static final int LOGICAL_BYTES = 64 << 20;
  private static final CacheOptions OPTIONS = new CacheOptions(2, Durability.ACK);

  /** Big writes use up the data segments; single sectors use up the log as well. */
  @ParameterizedTest
  @ValueSource(ints = {512, 65536})
  void aFullCacheRefusesWritesAndKeepsServingWhatItAcknowledged(int writeBytes) {
    MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
    long[] acknowledged = new long[LOGICAL_BYTES / writeBytes];
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
      MemorySegment buffer = arena.allocate(writeBytes);
      Cache cache = Cache.open(region, backing, OPTIONS);
      long number = 0;
      try (BlockQueue queue = cache.openQueue()) {
        int[] errno = {0};
        while (errno[0] == 0) {
          number++;
          int block = (int) (number * 7919 % acknowledged.length);
          buffer.set(JAVA_LONG, 0, number);
          queue.write(
              (long) block * writeBytes, writeBytes, buffer.address(), false, e -> errno[0] = e);
          queue.commit();
          if (errno[0] == 0) {
            acknowledged[block] = number;
          }
        }
        assertEquals(Errno.ENOSPC, errno[0]);
        long bytes = number * writeBytes;
        assertTrue(bytes > (400L << 20), "full after " + bytes + " bytes");
        check(queue, buffer, acknowledged, writeBytes);
      }
      try (BlockQueue queue = Cache.open(region, backing, OPTIONS).openQueue()) {
        check(queue, buffer, acknowledged, writeBytes);
      }
    }
  }

  @Test
  void aWriteThatDoesNotFitLeavesNoPartOfItself() {
    MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
      MemorySegment buffer = arena.allocate(32 << 20);
      Cache cache = Cache.open(region, backing, OPTIONS);
      try (BlockQueue queue = cache.openQueue()) {
        int[] errno = {0};
        byte fill = 0;
        while (errno[0] == 0) {
          buffer.fill(++fill);
          queue.write(0, 32 << 20, buffer.address(), false, e -> errno[0] = e);
          queue.commit();
        }
        assertEquals(Errno.ENOSPC, errno[0]);
        queue.read(0, 32 << 20, buffer.address(), e -> errno[0] = e);
        assertEquals(0, errno[0]);
        byte before = (byte) (fill - 1);
        for (long at = 0; at < buffer.byteSize(); at += 512) {
          assertEquals(before, buffer.get(JAVA_BYTE, at), "at " + at);
        }
      }
    }
  }

  private static void check(
      BlockQueue queue, MemorySegment buffer, long[] acknowledged, int writeBytes) {
    int[] errno = {-1};
    for (int block = 0; block < acknowledged.length; block++) {
      queue.read((long) block * writeBytes, writeBytes, buffer.address(), e -> errno[0] = e);
      assertEquals(0, errno[0]);
      assertEquals(acknowledged[block], buffer.get(JAVA_LONG, 0), "block " + block);
    }
  }
}
