package jpcache.cache;

import static jpcache.block.ExtentSink.CACHED;
import static jpcache.block.ExtentSink.DIRTY;
import static jpcache.block.ExtentSink.HOLE;
import static jpcache.block.ExtentSink.ZERO;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jpcache.backing.RecordingBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What clients are told of the parts of a device: the cache's, and over it the device's holes. */
class DescriptionTest {
  private static final int BLOCK = 4096;
  private static final int MIB = 1 << 20;
  private static final int DEVICE_BYTES = 16 * MIB;

  /** A part of the device, as it was told. */
  private record Part(long lengthBytes, int flags) {}

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment data = arena.allocate(BLOCK).fill((byte) 'x');
  private final RecordingBacking backing = new RecordingBacking(DEVICE_BYTES);
  private Cache cache;
  private BlockQueue queue;

  @BeforeEach
  void open() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 0);
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
    queue = cache.openQueue();
  }

  @AfterEach
  void close() {
    queue.close();
    region.close();
    arena.close();
  }

  private void write(long offset) {
    queue.write(offset, BLOCK, data.address(), false, errno -> assertEquals(0, errno));
    queue.commit();
  }

  /** Everything is written back, and leaves the cache. */
  private void emptyTheCache() {
    assertEquals(0, cache.maintenance().writeBackAll());
    long now = System.nanoTime();
    for (int steps = 0; cache.maintenance().step(now) == 0; steps++) {
      assertTrue(steps < 1000, "maintenance comes to no end");
    }
  }

  /** What is told of a range; neighbours of one kind as one. */
  private List<Part> describe(long offset, long length) {
    List<Part> parts = new ArrayList<>();
    queue.describe(
        offset,
        length,
        (bytes, flags) -> {
          boolean same = !parts.isEmpty() && parts.getLast().flags == flags;
          long before = same ? parts.removeLast().lengthBytes : 0;
          parts.add(new Part(before + bytes, flags));
          return true;
        });
    return parts;
  }

  @Test
  void whatNobodyHasEverWrittenIsAHole() {
    assertEquals(List.of(new Part(DEVICE_BYTES, HOLE | ZERO)), describe(0, DEVICE_BYTES));
    assertEquals(List.of(new Part(BLOCK, HOLE | ZERO)), describe(5 * MIB, BLOCK));
  }

  @Test
  void cachedDataOverAHoleIsNone() {
    write(5 * MIB);
    assertEquals(
        List.of(
            new Part(5 * MIB, HOLE | ZERO),
            new Part(BLOCK, CACHED | DIRTY),
            new Part(DEVICE_BYTES - 5 * MIB - BLOCK, HOLE | ZERO)),
        describe(0, DEVICE_BYTES));
  }

  @Test
  void whatOnlyTheDeviceHasIsDataBetweenItsHoles() {
    write(0);
    write(5 * MIB);
    emptyTheCache();
    write(6 * MIB);
    assertEquals(
        List.of(
            new Part(BLOCK, 0),
            new Part(5 * MIB - BLOCK, HOLE | ZERO),
            new Part(BLOCK, 0),
            new Part(MIB - BLOCK, HOLE | ZERO),
            new Part(BLOCK, CACHED | DIRTY),
            new Part(DEVICE_BYTES - 6 * MIB - BLOCK, HOLE | ZERO)),
        describe(0, DEVICE_BYTES));
  }

  @Test
  void whatWasDiscardedIsZerosOfTheCacheAndThenAHole() {
    write(0);
    emptyTheCache();
    assertEquals(List.of(new Part(BLOCK, 0)), describe(0, BLOCK));
    queue.writeZeroes(0, BLOCK, true, false, errno -> assertEquals(0, errno));
    queue.commit();
    assertEquals(List.of(new Part(BLOCK, CACHED | DIRTY | ZERO)), describe(0, BLOCK));
    emptyTheCache();
    assertEquals(List.of(new Part(BLOCK, HOLE | ZERO)), describe(0, BLOCK));
  }

  @Test
  void aSinkThatHasEnoughIsAskedNoMore() {
    write(5 * MIB);
    int[] told = {0};
    queue.describe(0, DEVICE_BYTES, (bytes, flags) -> ++told[0] < 2);
    assertEquals(2, told[0]);
  }
}
