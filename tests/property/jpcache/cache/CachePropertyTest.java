package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A cache and its backing device together behave like one array of bytes, across reopening. */
class CachePropertyTest {
  private static final int LOGICAL_BYTES = 24 << 20;
  private static final long CACHE_BYTES = 512L << 20;
  private static final int MAX_REQUEST_BYTES = 6 << 20;

  private SplittableRandom random = new SplittableRandom();
  private long seed;

  @ParameterizedTest
  @CsvSource({
    "WRITE_BACK,ACK,false",
    "WRITE_BACK,ACK,true",
    "WRITE_BACK,FLUSH,false",
    "WRITE_THROUGH,ACK,true",
    "WRITE_THROUGH,FLUSH,false",
    "WRITE_AROUND,ACK,false",
    "WRITE_AROUND,FLUSH,true",
    "WRITE_ONLY,ACK,true"
  })
  void agreesWithAnArrayOfBytes(CacheMode mode, Durability durability, boolean dataCrc) {
    seed = Seeds.next(getClass());
    random = new SplittableRandom(seed);
    byte[] model = new byte[LOGICAL_BYTES];
    random.nextBytes(model);
    MemoryBacking backing = new MemoryBacking(model.clone());
    CacheOptions options = CacheOptions.defaults().withLanes(2).withDurability(durability);
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(CACHE_BYTES)) {
      MediaFormatter.format(region, dataCrc, mode, 70);
      MemorySegment buffer = arena.allocate(32 << 20);
      for (int opening = 0; opening < 8; opening++) {
        Cache cache = Cache.open(region, backing, options);
        try (BlockQueue a = cache.openQueue();
            BlockQueue b = cache.openQueue()) {
          for (int batch = 0; batch < 60; batch++) {
            writeBatch(random.nextBoolean() ? a : b, buffer, model);
            checkRead(random.nextBoolean() ? a : b, buffer, model);
          }
          checkAll(a, buffer, model);
        }
        cache.close();
      }
    }
  }

  private void writeBatch(BlockQueue queue, MemorySegment buffer, byte[] model) {
    int[] completed = {0};
    int writes = 0;
    int used = 0;
    do {
      int length = randomLength();
      int offset = 512 * random.nextInt((LOGICAL_BYTES - length) / 512 + 1);
      byte[] data = new byte[length];
      Arrays.fill(data, (byte) random.nextInt());
      MemorySegment.copy(data, 0, buffer, JAVA_BYTE, used, length);
      queue.write(
          offset,
          length,
          buffer.address() + used,
          random.nextInt(10) == 0,
          errno -> {
            assertEquals(0, errno, "write, seed " + seed);
            completed[0]++;
          });
      assertEquals(0, completed[0], "completed before its commit, seed " + seed);
      System.arraycopy(data, 0, model, offset, length);
      used += length;
      writes++;
    } while (random.nextInt(20) != 0 && used < buffer.byteSize() - MAX_REQUEST_BYTES);
    if (random.nextInt(5) == 0) {
      queue.flush(errno -> assertEquals(0, errno));
    }
    queue.commit();
    assertEquals(writes, completed[0], "completions, seed " + seed);
  }

  private int randomLength() {
    return switch (random.nextInt(10)) {
      case 0 -> 512 * (1 + random.nextInt(256));
      case 1 -> random.nextInt(50) == 0 ? 512 * (1 + random.nextInt(MAX_REQUEST_BYTES / 512)) : 512;
      default -> 512 * (1 + random.nextInt(16));
    };
  }

  private void checkRead(BlockQueue queue, MemorySegment buffer, byte[] model) {
    int length = randomLength();
    int offset = 512 * random.nextInt((LOGICAL_BYTES - length) / 512 + 1);
    check(queue, buffer, model, offset, length);
  }

  private void checkAll(BlockQueue queue, MemorySegment buffer, byte[] model) {
    check(queue, buffer, model, 0, LOGICAL_BYTES);
  }

  private void check(BlockQueue queue, MemorySegment buffer, byte[] model, int offset, int length) {
    int[] result = {-1};
    queue.read(offset, length, buffer.address(), errno -> result[0] = errno);
    assertEquals(0, result[0], "read of " + length + " at " + offset + ", seed " + seed);
    byte[] actual = buffer.asSlice(0, length).toArray(JAVA_BYTE);
    int mismatch = Arrays.mismatch(model, offset, offset + length, actual, 0, length);
    assertEquals(-1, mismatch, "byte " + (offset + mismatch) + ", seed " + seed);
  }
}
