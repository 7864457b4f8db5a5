package jpcache.tools;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import jpcache.backing.MemoryBacking;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is read of a cache over a backing device that cannot read everything. */
class LogicalViewTest {
  private static final int PAGE = 4096;
  private static final int SUBTREE = 4 << 20;

  /** Two pages of the cache, one at each side of the boundary of two subtrees. */
  private static final int CACHED = SUBTREE - PAGE;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final Arena arena = Arena.ofConfined();
  private final MemoryBacking backing = new MemoryBacking(ones());
  private MediaBuilder m;

  private static byte[] ones() {
    byte[] bytes = new byte[2 * SUBTREE];
    Arrays.fill(bytes, (byte) 1);
    return bytes;
  }

  @BeforeEach
  void make() {
    m = MediaBuilder.create(shm.resolve("cache"), MediaBuilder.SMALL_BYTES);
    m.media().asSlice(MediaBuilder.dataOffset(1), 2 * PAGE).fill((byte) 7);
    m.kset(0, 0, LogKey.of(CACHED, PAGE, 1, 0), LogKey.of(SUBTREE, PAGE, 1, PAGE));
  }

  @AfterEach
  void close() {
    m.close();
    arena.close();
  }

  private MemorySegment read(long from, int length) {
    MemorySegment into = arena.allocate(length, PAGE);
    new LogicalView(CacheMedia.read("cache", m.view()), backing).read(from, into);
    return into;
  }

  @Test
  void aSectorThatTheBackingDeviceCannotReadDoesNotMatterWhereTheCacheHasIt() {
    for (int bad : new int[] {CACHED, CACHED + PAGE - 1, SUBTREE, SUBTREE + PAGE - 1}) {
      backing.failReadsAt(bad);
      MemorySegment read = read(CACHED - PAGE, 4 * PAGE);
      for (int i = 0; i < 4 * PAGE; i++) {
        boolean cached = i >= PAGE && i < 3 * PAGE;
        assertEquals(cached ? 7 : 1, read.get(ValueLayout.JAVA_BYTE, i), "byte " + i);
      }
    }
  }

  @Test
  void aSectorThatNobodyCanReadIsAFailureThatNamesIt() {
    backing.failReadsAt(SUBTREE + PAGE);
    assertEquals(1, read(SUBTREE + 2 * PAGE, PAGE).get(ValueLayout.JAVA_BYTE, 0));
    UserException e = assertThrows(UserException.class, () -> read(CACHED, 3 * PAGE));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("4096 bytes at " + (SUBTREE + PAGE)), message);
  }

  @Test
  void theBackingDeviceIsNotAskedForWhatTheCacheHas() {
    read(CACHED, 2 * PAGE);
    assertEquals(0, backing.reads());
  }
}
