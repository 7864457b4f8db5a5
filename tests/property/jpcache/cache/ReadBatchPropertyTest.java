package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ReadBatch;
import jpcache.extent.ExtentMap;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Reads that are handed over together find what each by itself would find. */
class ReadBatchPropertyTest {
  private static final int SECTOR = 512;
  private static final int LOGICAL_BYTES = 3 * ExtentMap.SUBTREE_BYTES;
  private static final int MAX_BYTES = 16 << 10;
  private static final int ROUNDS = 2_000;

  private final byte[] wanted = new byte[LOGICAL_BYTES];
  private final int[] errnos = new int[ReadBatch.MAX_READS];
  private long handedOver;

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void hitsMissesAndPartsAreReadAsOneByOne(boolean dataCrc) {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    Arrays.fill(wanted, (byte) 'b');
    MemoryBacking backing = new MemoryBacking(wanted.clone());
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, 70);
      Cache cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
      MemorySegment memory = arena.allocate((long) ReadBatch.MAX_READS * MAX_BYTES);
      ReadBatch batch = new ReadBatch();
      try (BlockQueue queue = cache.openQueue()) {
        for (int round = 0; round < ROUNDS; round++) {
          write(queue, memory, random);
          fill(batch, memory, random);
          queue.readAll(batch);
          check(batch, memory, "seed " + seed + " round " + round);
          batch.clear();
        }
        long reads =
            cache.metrics().sum(CacheMetrics.Event.READ_HITS)
                + cache.metrics().sum(CacheMetrics.Event.READ_MISSES);
        assertEquals(handedOver, reads);
      }
    }
  }

  private void write(BlockQueue queue, MemorySegment memory, SplittableRandom random) {
    int length = SECTOR * (1 + random.nextInt(MAX_BYTES / SECTOR));
    int offset = SECTOR * random.nextInt((LOGICAL_BYTES - length) / SECTOR + 1);
    byte letter = (byte) ('a' + random.nextInt(26));
    memory.asSlice(0, length).fill(letter);
    Arrays.fill(wanted, offset, offset + length, letter);
    queue.write(offset, length, memory.address(), false, errno -> assertEquals(0, errno));
    queue.commit();
  }

  /** Some reads; many near the bounds of subtrees, and some of the same bytes. */
  private void fill(ReadBatch batch, MemorySegment memory, SplittableRandom random) {
    int count = 1 + random.nextInt(ReadBatch.MAX_READS);
    for (int i = 0; i < count; i++) {
      int read = i;
      int length = SECTOR * (1 + random.nextInt(MAX_BYTES / SECTOR));
      int near = random.nextInt(1, 3) * ExtentMap.SUBTREE_BYTES - SECTOR * random.nextInt(32);
      int offset =
          random.nextInt(4) == 0
              ? near
              : SECTOR * random.nextInt((LOGICAL_BYTES - length) / SECTOR + 1);
      errnos[i] = Errno.ESHUTDOWN;
      long address = memory.address() + (long) i * MAX_BYTES;
      batch.add(offset, length, address, errno -> errnos[read] = errno);
    }
    handedOver += count;
  }

  private void check(ReadBatch batch, MemorySegment memory, String where) {
    for (int i = 0; i < batch.count(); i++) {
      int offset = (int) batch.offsetBytes(i);
      int length = batch.lengthBytes(i);
      assertEquals(0, errnos[i], where);
      byte[] found = memory.asSlice((long) i * MAX_BYTES, length).toArray(JAVA_BYTE);
      assertArrayEquals(Arrays.copyOfRange(wanted, offset, offset + length), found, where);
    }
  }
}
