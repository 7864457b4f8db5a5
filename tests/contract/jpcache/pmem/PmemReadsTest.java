package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Memory that goes away while it is read. A file truncated under its mapping stands for poison:
 * both are a SIGBUS.
 */
@Timeout(300)
final class PmemReadsTest {
  private static final int PAGE = 4096;
  private static final int SIZE = 1 << 20;

  /** Reads after which a lost page must have been met. */
  private static final int ENOUGH = 5_000_000;

  /** Pages from here on can be taken away. */
  private static final int KEPT = SIZE / 2;

  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  private PmemRegion region;
  private final Arena arena = Arena.ofShared();

  @BeforeEach
  void create() {
    region = PmemFiles.create(directory.resolve("region").toString(), SIZE, null);
    try (Arena source = Arena.ofConfined()) {
      MemorySegment numbers = source.allocate(SIZE, 8);
      for (long at = 0; at < SIZE; at += 8) {
        numbers.set(ValueLayout.JAVA_LONG, at, number(at));
      }
      region.persist(0, numbers.address(), SIZE);
    }
  }

  @AfterEach
  void close() {
    region.close();
    arena.close();
  }

  private static long number(long at) {
    return at * 0x9E3779B97F4A7C15L;
  }

  @Test
  void copiesAnyRange() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    MemorySegment whole = arena.allocate(SIZE);
    PmemReads.copy(region.view(), 0, whole, 0, SIZE);
    assertEquals(-1, whole.mismatch(region.view()));
    MemorySegment to = arena.allocate(SIZE);
    for (int i = 0; i < 500; i++) {
      int length = random.nextInt(random.nextBoolean() ? 300_000 : 100);
      int from = random.nextInt(SIZE - length + 1);
      int at = random.nextInt(SIZE - length + 1);
      PmemReads.copy(region.view(), from, to.address() + at, length);
      assertEquals(
          -1, to.asSlice(at, length).mismatch(whole.asSlice(from, length)), "seed " + seed);
    }
  }

  @Test
  void aRangeOutsideIsRefused() {
    MemorySegment to = arena.allocate(64);
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> PmemReads.copy(region.view(), SIZE - 7, to.address(), 8));
    assertThrows(
        IndexOutOfBoundsException.class, () -> PmemReads.copy(region.view(), -1, to.address(), 8));
    assertThrows(
        IndexOutOfBoundsException.class, () -> PmemReads.copy(region.view(), 0, to, 60, 8));
  }

  @Test
  void aLostPageIsNamedByItsFirstByteInTheRange() throws IOException {
    truncate();
    MemorySegment to = arena.allocate(SIZE);
    assertEquals(KEPT, faultOf(0, to, SIZE));
    assertEquals(KEPT, faultOf(KEPT - 1, to, 2));
    assertEquals(KEPT + 5, faultOf(KEPT + 5, to, 1));
    assertEquals(SIZE - 8, faultOf(SIZE - 8, to, 8));
    PmemReads.copy(region.view(), 0, to, 0, KEPT); // what is left can be read
    assertEquals(number(KEPT - 8), to.get(ValueLayout.JAVA_LONG, KEPT - 8));
  }

  @Test
  void theMessageSaysWhereAndWhy() throws IOException {
    truncate();
    PoisonedMemoryException e =
        assertThrows(
            PoisonedMemoryException.class,
            () -> PmemReads.copy(region.view(), KEPT, arena.allocate(8), 0, 8));
    assertEquals(
        "byte 524288 cannot be read: the memory is poisoned, or the file was truncated while in use",
        e.getMessage());
  }

  @Test
  void touchingLostPagesIsNoErrorThenOrLater() throws IOException {
    MemorySegment to = arena.allocate(PAGE);
    truncate();
    for (int i = 0; i < 50_000; i++) {
      long kept = (long) (i % 64) * PAGE;
      PmemReads.touch(region.view(), new long[] {kept, KEPT + kept, 0, SIZE - 1}, 4);
      assertEquals(-1, hotCopy(to, kept, PAGE));
    }
  }

  /** Hot enough for C2, whose code leaves the try block before it delivers an error by itself. */
  @Test
  void aRangeWithALostPageCannotBeReadAndNoOtherReadNoticesTheLook() throws IOException {
    MemorySegment to = arena.allocate(PAGE);
    assertTrue(PmemReads.canRead(region.view(), 0, SIZE));
    truncate();
    for (int i = 0; i < 50_000; i++) {
      long kept = (long) (i % 64) * PAGE;
      assertTrue(PmemReads.canRead(region.view(), kept, KEPT - kept));
      assertFalse(PmemReads.canRead(region.view(), kept, KEPT - kept + 1));
      assertFalse(PmemReads.canRead(region.view(), KEPT - 1, 2));
      assertEquals(-1, hotCopy(to, kept, PAGE));
    }
  }

  @Test
  void inHotCodeEveryLostPageIsAnExceptionOfItsOwnCopyAndNothingElseIs() throws IOException {
    MemorySegment to = arena.allocate(PAGE);
    for (int i = 0; i < 100_000; i++) {
      assertEquals(-1, hotCopy(to, (long) (i % 64) * PAGE, 8 + i % 3 * 2000));
    }
    truncate();
    int faults = 0;
    for (int i = 0; i < 100_000; i++) {
      boolean lost = i % 11 == 0;
      long offset = lost ? KEPT + (long) (i % 64) * PAGE : (long) (i % 64) * PAGE;
      assertEquals(lost ? offset : -1, hotCopy(to, offset, 8 + i % 3 * 2000));
      faults += lost ? 1 : 0;
    }
    assertEquals(9091, faults);
  }

  /** Small enough to be inlined into its loop. -1, or where the fault was. */
  private long hotCopy(MemorySegment to, long offset, int length) {
    try {
      PmemReads.copy(region.view(), offset, to.address(), length);
      return -1;
    } catch (PoisonedMemoryException e) {
      return e.offsetBytes();
    }
  }

  @Test
  void readersOfSoundPagesNoticeNothingWhileOthersFail() throws Exception {
    List<Callable<Integer>> readers = new ArrayList<>();
    CountDownLatch warm = new CountDownLatch(4);
    for (int thread = 0; thread < 4; thread++) {
      boolean sound = thread % 2 == 0;
      long seed = thread;
      readers.add(() -> read(sound, new Random(seed), warm));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<Integer>> faults = new ArrayList<>();
      for (Callable<Integer> reader : readers) {
        faults.add(threads.submit(reader));
      }
      assertTrue(warm.await(4, TimeUnit.MINUTES));
      truncate();
      assertEquals(0, faults.get(0).get());
      assertTrue(faults.get(1).get() > 1000);
      assertEquals(0, faults.get(2).get());
      assertTrue(faults.get(3).get() > 1000);
    }
  }

  /** Reads pages and checks what it gets; a doomed reader goes on until it has failed enough. */
  private int read(boolean sound, Random random, CountDownLatch warm) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment to = own.allocate(PAGE, 8);
      int faults = 0;
      for (int i = 0; i < 60_000 || (faults <= 1000 && i < ENOUGH && !sound); i++) {
        if (i == 30_000) {
          warm.countDown();
        }
        long offset = (long) random.nextInt(KEPT / PAGE) * PAGE + (sound ? 0 : KEPT);
        try {
          PmemReads.copy(region.view(), offset, to.address(), PAGE);
          for (int at = 0; at < PAGE; at += 8) {
            assertEquals(number(offset + at), to.get(ValueLayout.JAVA_LONG, at));
          }
        } catch (PoisonedMemoryException e) {
          assertEquals(offset, e.offsetBytes());
          faults++;
        }
      }
      return faults;
    }
  }

  private long faultOf(long offset, MemorySegment to, long length) {
    return assertThrows(
            PoisonedMemoryException.class,
            () -> PmemReads.copy(region.view(), offset, to, 0, length))
        .offsetBytes();
  }

  private void truncate() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(region.name(), "rw")) {
      file.setLength(KEPT);
    }
  }
}
