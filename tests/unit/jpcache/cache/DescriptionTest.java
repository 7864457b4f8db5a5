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
import jpcache.backing.TestDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
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

  @Test
  void oneAnswerOfTheDeviceServesAllThatIsNotCached() {
    write(5 * MIB);
    int[] questions = {0};
    backing.onHoleAsked(() -> questions[0]++);
    describe(0, DEVICE_BYTES);
    assertEquals(2, questions[0], "before the cached block, and behind it");
  }

  /** The device answers for what the cache has already been found not to hold, and no more. */
  @Test
  void whatReachesTheDeviceMeanwhileIsNotHiddenByAHoleOfBefore() {
    write(0);
    write(9 * MIB);
    backing.onHoleAsked(() -> {
      backing.onHoleAsked(() -> {});
      emptyTheCache();
    });
    List<Part> parts = describe(0, DEVICE_BYTES);
    assertEquals(9 * MIB - BLOCK, parts.get(1).lengthBytes());
    assertEquals(BLOCK, parts.get(2).lengthBytes());
    assertEquals(0, parts.get(2).flags() & HOLE);
  }

  @Test
  void ofAVeryLongRangeAPartIsToldAndTheNextFromThere() {
    long size = 16L << 40;
    int[] questions = {0};
    queue.close();
    cache =
        Cache.open(
            region, new SparseBacking(size, questions), CacheOptions.defaults().withLanes(1));
    queue = cache.openQueue();
    long at = 0;
    int requests = 0;
    for (; at < size; requests++) {
      List<Part> parts = describe(at, size - at);
      assertEquals(1, parts.size());
      assertEquals(HOLE | ZERO, parts.getFirst().flags());
      at += parts.getFirst().lengthBytes();
    }
    assertEquals(size, at);
    assertEquals(64, requests, "of 256 GiB each");
    assertEquals(requests, questions[0]);
  }

  /** One large hole. */
  private static final class SparseBacking extends TestDevice {
    private final long sizeBytes;
    private final int[] questions;

    SparseBacking(long sizeBytes, int[] questions) {
      super("sparse");
      this.sizeBytes = sizeBytes;
      this.questions = questions;
    }

    @Override
    public long nextHole(long fromBytes, long toBytes) {
      questions[0]++;
      return fromBytes;
    }

    @Override
    public long nextData(long fromBytes, long toBytes) {
      return toBytes;
    }

    @Override
    public long sizeBytes() {
      return sizeBytes;
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EIO);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EIO);
    }

    @Override
    public void flush(Completion done) {
      done.complete(Errno.EIO);
    }
  }
}
