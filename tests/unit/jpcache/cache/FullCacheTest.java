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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A full cache makes writes wait until there is room, and loses nothing. */
class FullCacheTest {
  private static final int LOGICAL_BYTES = 64 << 20;
  private static final int PENDING = -1;
  private static final CacheOptions OPTIONS = CacheOptions.defaults().withLanes(2);

  private final byte[] slow = new byte[LOGICAL_BYTES];
  private final MemoryBacking backing = new MemoryBacking(slow);
  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final int[] errno = {PENDING};
  private byte lastFill;

  FullCacheTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
  }

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  /** Big writes use up the data segments; single sectors use up the log as well. */
  @ParameterizedTest
  @ValueSource(ints = {512, 65536})
  void aWriteThatWaitsCompletesOnceOlderDataIsWrittenBack(int writeBytes) {
    long[] acknowledged = new long[LOGICAL_BYTES / writeBytes];
    MemorySegment buffer = arena.allocate(writeBytes);
    Cache cache = Cache.open(region, backing, OPTIONS);
    long number = 0;
    try (BlockQueue queue = cache.openQueue()) {
      int waited = 0;
      while (waited < 3) {
        number++;
        int block = (int) (number * 7919 % acknowledged.length);
        buffer.set(JAVA_LONG, 0, number);
        errno[0] = PENDING;
        queue.write((long) block * writeBytes, writeBytes, buffer.address(), false, this::ended);
        queue.commit();
        if (errno[0] == PENDING) {
          waited++;
          buffer.fill((byte) 0); // the cache has its own copy
          check(queue, buffer, acknowledged, writeBytes);
          stepUntilDone(cache);
        }
        assertEquals(0, errno[0]);
        acknowledged[block] = number;
      }
      // All of the cache but the reserve, a quarter of one so small.
      assertTrue(number * writeBytes > (330L << 20), "waited after " + number * writeBytes);
      check(queue, buffer, acknowledged, writeBytes);
    }
    try (BlockQueue queue = Cache.open(region, backing, OPTIONS).openQueue()) {
      check(queue, buffer, acknowledged, writeBytes);
    }
  }

  @Test
  void aWriteThatWaitsIsSeenWholeOrNotAtAll() {
    MemorySegment buffer = arena.allocate(32 << 20);
    Cache cache = Cache.open(region, backing, OPTIONS);
    byte fill = fill(cache, buffer);
    try (BlockQueue queue = cache.openQueue()) {
      assertEquals(PENDING, errno[0]);
      requireAll(queue, buffer, (byte) (fill - 1));
      stepUntilDone(cache);
      requireAll(queue, buffer, fill);
    }
  }

  @Test
  void withABrokenBackingDeviceWritesWaitAndReadsDoNot() {
    MemorySegment buffer = arena.allocate(32 << 20);
    Cache cache = Cache.open(region, backing, OPTIONS);
    backing.failWrites(Errno.EIO);
    long now = System.nanoTime();
    byte fill;
    do {
      fill = fill(cache, buffer);
      for (int step = 0; step < 100; step++) {
        long pause = cache.maintenance().step(now);
        assertTrue(pause > 0, "a busy loop on errors");
        now += pause;
      }
    } while (errno[0] != PENDING); // once it is known that the device fails, the reserve is used
    try (BlockQueue queue = cache.openQueue()) {
      assertEquals(Errno.EIO, cache.maintenance().lastErrno());
      requireAll(queue, buffer, (byte) (fill - 1));

      backing.failWrites(0);
      while (errno[0] == PENDING) {
        now += cache.maintenance().step(now);
      }
      requireAll(queue, buffer, fill);
    }
  }

  @Test
  void aWriteThatWaitsFailsWhenTheCacheStops() {
    MemorySegment buffer = arena.allocate(32 << 20);
    Cache cache = Cache.open(region, backing, OPTIONS);
    fill(cache, buffer);
    cache.stopWaiting();
    assertEquals(Errno.ESHUTDOWN, errno[0]);
  }

  private void ended(int result) {
    errno[0] = result;
  }

  /** Writes the first 32 MiB again and again until a write waits; returns what it writes. */
  private byte fill(Cache cache, MemorySegment buffer) {
    try (BlockQueue queue = cache.openQueue()) {
      do {
        errno[0] = PENDING;
        buffer.fill(++lastFill);
        queue.write(0, (int) buffer.byteSize(), buffer.address(), false, this::ended);
        queue.commit();
      } while (errno[0] != PENDING);
    }
    return lastFill;
  }

  private void stepUntilDone(Cache cache) {
    for (int step = 0; errno[0] == PENDING; step++) {
      cache.maintenance().step(System.nanoTime());
      assertTrue(step < 10_000, "no progress");
    }
  }

  private static void requireAll(BlockQueue queue, MemorySegment buffer, byte fill) {
    int[] result = {PENDING};
    queue.read(0, (int) buffer.byteSize(), buffer.address(), e -> result[0] = e);
    assertEquals(0, result[0]);
    for (long at = 0; at < buffer.byteSize(); at += 512) {
      assertEquals(fill, buffer.get(JAVA_BYTE, at), "at " + at);
    }
  }

  private static void check(
      BlockQueue queue, MemorySegment buffer, long[] acknowledged, int writeBytes) {
    int[] errno = {PENDING};
    for (int block = 0; block < acknowledged.length; block++) {
      queue.read((long) block * writeBytes, writeBytes, buffer.address(), e -> errno[0] = e);
      assertEquals(0, errno[0]);
      assertEquals(acknowledged[block], buffer.get(JAVA_LONG, 0), "block " + block);
    }
  }
}
