package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What garbage collection frees, and in which order it becomes durable. */
class GarbageCollectorTest {
  private static final int LOGICAL_BYTES = 32 << 20;

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(LOGICAL_BYTES);
  private final MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  private Cache open(int gcPercent) {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, gcPercent);
    return Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
  }

  private void write(BlockQueue queue, long offset, int length) {
    int[] result = {-1};
    queue.write(offset, length, buffer.address(), false, errno -> result[0] = errno);
    queue.commit();
    assertEquals(0, result[0]);
  }

  private static void collectAll(Cache cache) {
    long now = System.nanoTime();
    while (cache.maintenance().step(now) == 0) {
      // until nothing is due
    }
  }

  private boolean isKeyTail(long offset) {
    return offset == MediaBuilder.keyTailAt(0).offsetBytes()
        || offset == MediaBuilder.keyTailAt(1).offsetBytes();
  }

  private int generationWritten(long offset) {
    long segment = (offset - Layout.SEGMENTS_OFFSET) / Layout.SEGMENT_BYTES;
    long at = offset - MediaBuilder.generationAt((int) segment, 0).offsetBytes();
    return at == 0 || at == Layout.GENERATION_BYTES ? (int) segment : SegmentTable.NONE;
  }

  /**
   * A generation that is durable before key_tail makes keys stale that lie behind others in the
   * log: a power cut between the two would bring back what those others say.
   */
  @Test
  void aSegmentsGenerationNeverGoesUpBeforeKeyTailIsBehindItsKeysEvenIfAWriterLetsGoOfItLast() {
    Cache cache = open(0);
    try (BlockQueue queue = cache.openQueue();
        BlockQueue other = cache.openQueue()) {
      write(queue, 0, Layout.SEGMENT_DATA_BYTES); // fills the lane's segment to its last byte
      assertEquals(0, cache.maintenance().writeBackAll());
      List<String> order = new ArrayList<>();
      region.watch((offset, length) -> {
        if (isKeyTail(offset)) {
          // The lane goes on to another segment while key_tail is not yet durable.
          other.write(0, 512, buffer.address(), false, errno -> {});
          order.add("key_tail");
        } else if (generationWritten(offset) >= 0) {
          order.add("generation");
        }
      });
      collectAll(cache);
      region.watch((offset, length) -> {});
      assertEquals(List.of("key_tail", "generation"), order);
    }
  }

  /** Only the keys hold it then, and they were there before it was full. */
  @Test
  void aSegmentThatItsLaneHasLeftIsKeptByItsKeysUntilTheLastIsCollected() {
    Cache cache = open(0);
    try (BlockQueue queue = cache.openQueue()) {
      buffer.fill((byte) 'x');
      int half = Layout.SEGMENT_DATA_BYTES / 2;
      write(queue, 0, half);
      write(queue, half, half);
      int segment = 1; // the log has the first
      long generation = cache.segments().generation(segment);
      write(queue, 2L * half, 512); // the lane goes on to another segment
      assertEquals(generation, cache.segments().generation(segment), "it is in use");
      assertEquals(3, cache.segments().usedCount());
      Cache again = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
      assertEquals(3, again.segments().usedCount(), "its keys are not stale");
      collectAll(cache);
      assertEquals(generation + 1, cache.segments().generation(segment), "it is free");
    }
  }

  @Test
  void whatIsWrittenBackIsFreedToTheLastSegmentAndReadFromTheBackingDevice() {
    Cache cache = open(0);
    buffer.fill((byte) 'x');
    try (BlockQueue queue = cache.openQueue()) {
      for (int i = 0; i < 10; i++) {
        write(queue, 0, LOGICAL_BYTES);
      }
      assertTrue(cache.status().segmentsUsed() > 18);
      collectAll(cache);
      assertEquals(2, cache.status().segmentsUsed(), "the log's segment and the lane's");
      assertEquals(0, cache.maintenance().lastErrno());
      int[] result = {-1};
      buffer.fill((byte) 0);
      queue.read(0, LOGICAL_BYTES, buffer.address(), errno -> result[0] = errno);
      assertEquals(0, result[0]);
      assertEquals(-1, buffer.mismatch(arena.allocate(LOGICAL_BYTES).fill((byte) 'x')));
      assertTrue(backing.reads() > 0);
    }
  }

  /** The older key of zeros comes by twice, and counts once. */
  @Test
  void aRunThatFailsAndIsRepeatedTakesOutNoZerosThatAreNewer() {
    Cache cache = open(0);
    try (BlockQueue queue = cache.openQueue()) {
      buffer.fill((byte) 'x');
      write(queue, 4096, 4096);
      zero(queue, 0, 4096);
      assertEquals(0, cache.maintenance().writeBackAll());
      zero(queue, 4096, 4096);
      AtomicInteger attempts = new AtomicInteger();
      region.watch((offset, length) -> {
        if (isKeyTail(offset)) {
          attempts.incrementAndGet();
          throw new UncheckedIOException(new IOException("msync"));
        }
      });
      for (int run = 0; run < 2; run++) {
        cache.maintenance().step(System.nanoTime());
      }
      assertEquals(2, attempts.get());
      region.watch((offset, length) -> {});
      int[] result = {-1};
      queue.read(4096, 4096, buffer.address(), errno -> result[0] = errno);
      assertEquals(0, result[0]);
      assertEquals(0, buffer.get(JAVA_BYTE, 0), "what the backing device has is older");
    }
  }

  private static void zero(BlockQueue queue, long offset, int length) {
    int[] result = {-1};
    queue.writeZeroes(offset, length, true, false, errno -> result[0] = errno);
    queue.commit();
    assertEquals(0, result[0]);
  }
}
