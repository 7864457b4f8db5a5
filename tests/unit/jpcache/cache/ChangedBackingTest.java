package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A cache in front of a device that has another size than before, or takes no writes any more. */
class ChangedBackingTest {
  private static final int MIB = 1 << 20;
  private static final int BLOCK = 4096;

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(BLOCK);
  private final byte[] content = new byte[8 * MIB];

  @BeforeEach
  void format() {
    Arrays.fill(content, (byte) 'd');
    format(CacheMode.WRITE_BACK);
  }

  private void format(CacheMode mode) {
    MediaFormatter.format(region, false, mode, 70);
  }

  @AfterEach
  void close() {
    region.close();
    arena.close();
  }

  private Cache open(MemoryBacking backing) {
    return Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
  }

  private int write(BlockQueue queue, long offset, char value) {
    int[] errno = {-1};
    queue.write(offset, BLOCK, buffer.fill((byte) value).address(), false, e -> errno[0] = e);
    queue.commit();
    return errno[0];
  }

  private char read(BlockQueue queue, long offset) {
    int[] errno = {-1};
    queue.read(offset, BLOCK, buffer.address(), e -> errno[0] = e);
    assertEquals(0, errno[0], "a read at " + offset);
    return (char) buffer.get(ValueLayout.JAVA_BYTE, BLOCK - 1);
  }

  /** Leaves dirty data at this place. */
  private void leaveDirty(long offset) {
    try (Cache cache = open(new MemoryBacking(content));
        BlockQueue queue = cache.openQueue()) {
      assertEquals(0, write(queue, offset, 'w'));
    }
  }

  @Test
  void aDeviceThatHasGrownIsCachedToItsNewEnd() {
    leaveDirty(8 * MIB - BLOCK);
    byte[] grown = Arrays.copyOf(content, 16 * MIB);
    try (Cache cache = open(new MemoryBacking(grown));
        BlockQueue queue = cache.openQueue()) {
      assertEquals(16 * MIB, cache.sizeBytes());
      assertEquals('w', read(queue, 8 * MIB - BLOCK));
      assertEquals('d', read(queue, 0));
      assertEquals('\0', read(queue, 8 * MIB));
      assertEquals(0, write(queue, 16 * MIB - BLOCK, 'n'));
      assertEquals(0, cache.maintenance().writeBackAll());
    }
    assertEquals('w', grown[8 * MIB - 1]);
    assertEquals('n', grown[16 * MIB - 1]);
  }

  @Test
  void aDeviceThatHasShrunkBelowCachedDataIsRefusedAndNothingIsLost() {
    leaveDirty(8 * MIB - BLOCK);
    MemoryBacking shrunk = new MemoryBacking(Arrays.copyOf(content, 4 * MIB));
    String told = "" + assertThrows(UserException.class, () -> open(shrunk)).getMessage();
    assertTrue(told.contains("key.off"), told);
    assertTrue(told.contains("must be a multiple of 512 and end within the logical"), told);
    assertTrue(told.contains(" of 4194304 bytes"), told);
    try (Cache cache = open(new MemoryBacking(content));
        BlockQueue queue = cache.openQueue()) {
      assertEquals('w', read(queue, 8 * MIB - BLOCK), "with its old size it is all there");
    }
  }

  @Test
  void aDeviceThatHasShrunkBehindAllCachedDataIsServed() {
    leaveDirty(MIB);
    try (Cache cache = open(new MemoryBacking(Arrays.copyOf(content, 4 * MIB)));
        BlockQueue queue = cache.openQueue()) {
      assertEquals(4 * MIB, cache.sizeBytes());
      assertEquals('w', read(queue, MIB));
      assertEquals('d', read(queue, 4 * MIB - BLOCK));
      assertEquals(0, cache.maintenance().writeBackAll());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"WRITE_BACK", "WRITE_ONLY"})
  void aDeviceThatBecomesReadOnlyDelaysWriteBackAndNothingElse(CacheMode mode) {
    format(mode);
    MemoryBacking backing = new MemoryBacking(content);
    try (Cache cache = open(backing);
        BlockQueue queue = cache.openQueue()) {
      assertEquals(0, write(queue, 0, 'w'));
      backing.failWrites(Errno.EROFS);
      assertEquals(Errno.EROFS, cache.maintenance().writeBackAll());
      assertEquals(Errno.EROFS, cache.maintenance().lastErrno(), "what the status shows");
      assertEquals(0, write(queue, BLOCK, 'w'), "a write meanwhile");
      assertEquals('w', read(queue, 0));
      assertEquals('d', read(queue, MIB));
      assertEquals('d', content[0]);

      backing.failWrites(0);
      assertEquals(0, cache.maintenance().writeBackAll());
      assertEquals(0, cache.maintenance().lastErrno());
      assertEquals('w', content[0]);
      assertEquals('w', content[BLOCK]);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"WRITE_THROUGH", "WRITE_AROUND"})
  void aDeviceThatBecomesReadOnlyFailsDirectWritesWithItsError(CacheMode mode) {
    format(mode);
    MemoryBacking backing = new MemoryBacking(content);
    try (Cache cache = open(backing);
        BlockQueue queue = cache.openQueue()) {
      backing.failWrites(Errno.EROFS);
      assertEquals(Errno.EROFS, write(queue, 0, 'w'));
      assertEquals('d', read(queue, MIB));
      backing.failWrites(0);
      assertEquals(0, write(queue, 0, 'n'), "and is taken up again");
      assertEquals('n', content[0]);
      assertEquals('n', read(queue, 0));
    }
  }
}
