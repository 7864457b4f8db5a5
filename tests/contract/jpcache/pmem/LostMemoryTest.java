package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
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
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Memory that goes away while it is stored to, as {@link PmemReadsTest} has it for reads: an
 * exception of that store, and of no other, in every binding.
 */
@ParameterizedClass
@EnumSource(PmemBinding.class)
@Timeout(300)
final class LostMemoryTest {
  private static final int PAGE = 4096;
  private static final int SIZE = 1 << 20;

  /** Pages from here on can be taken away. */
  private static final int KEPT = SIZE / 2;

  private static final int ROUNDS = 20_000;

  private final PmemBinding binding;

  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  private PmemRegion region;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment source = arena.allocate(SIZE, 64);

  LostMemoryTest(PmemBinding binding) {
    this.binding = binding;
  }

  @BeforeEach
  void create() {
    region = PmemFiles.create(directory.resolve("region").toString(), SIZE, binding);
    source.fill((byte) 7);
  }

  @AfterEach
  void close() {
    region.close();
    arena.close();
  }

  private void truncate() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(region.name(), "rw")) {
      file.setLength(KEPT);
    }
  }

  /** A store, as copy or as persist. */
  private interface Store {
    void to(long offsetBytes, long sourceAddress, long lengthBytes);
  }

  private void fails(Store store, long offset, long length) {
    UncheckedIOException e =
        assertThrows(UncheckedIOException.class, () -> store.to(offset, source.address(), length));
    String expected =
        region.name()
            + ": "
            + length
            + " bytes at "
            + offset
            + " are not durable: its memory is gone";
    assertEquals(expected, e.getMessage());
  }

  @Test
  void storesAreGuarded() {
    assertTrue(region.guardsStores());
  }

  @Test
  void aStoreOfAnyLengthFailsAndWhatIsLeftIsStoredTo() throws IOException {
    truncate();
    for (Store store : List.<Store>of(region::copy, region::persist)) {
      for (int length : new int[] {1, 8, 40, 64, 100, 256, 4096, 70_000, KEPT}) {
        fails(store, KEPT, length);
        fails(store, SIZE - length, length);
        fails(store, KEPT - 1, length + 1);
        store.to(KEPT - length, source.address(), length);
      }
      store.to(KEPT, source.address(), 0);
    }
    region.drain();
    assertEquals(7, region.view().get(ValueLayout.JAVA_BYTE, 0));
    assertEquals(7, region.view().get(ValueLayout.JAVA_BYTE, KEPT - 1));
  }

  @Test
  void aFaultInTheMiddleOfALongCopyEndsIt() throws IOException {
    truncate();
    fails(region::copy, 0, SIZE);
    fails(region::persist, 0, SIZE);
    fails(region::copy, KEPT - 100_000, 200_000);
    region.persist(0, source.address(), KEPT);
    assertEquals(-1, source.asSlice(0, KEPT).mismatch(region.view().asSlice(0, KEPT)));
  }

  /** The handler that jumps must leave the thread's signal mask as it was. */
  @Test
  void aThreadMeetsAnyNumberOfFaultsOfEitherKind() throws IOException {
    truncate();
    MemorySegment to = arena.allocate(PAGE);
    for (int i = 0; i < ROUNDS; i++) {
      long page = (long) (i % 64) * PAGE;
      long lost = KEPT + page;
      assertThrows(UncheckedIOException.class, () -> region.copy(lost, source.address(), PAGE));
      assertThrows(
          PoisonedMemoryException.class,
          () -> PmemReads.copy(region.view(), lost, to.address(), PAGE));
      region.persist(page, source.address(), PAGE);
      PmemReads.copy(region.view(), page, to.address(), PAGE);
      assertEquals(7, to.get(ValueLayout.JAVA_BYTE, PAGE - 1));
    }
  }

  @Test
  void storesAndReadsOfSoundPagesNoticeNothingWhileOthersFail() throws Exception {
    List<Callable<Integer>> users = new ArrayList<>();
    CountDownLatch warm = new CountDownLatch(6);
    for (int i = 0; i < 6; i++) {
      boolean sound = i % 2 == 0;
      boolean reads = i >= 4;
      long seed = i;
      int own = i / 2 * (KEPT / 4); // what a thread of sound pages stores nobody else does
      users.add(() -> use(sound, reads, own, new Random(seed), warm));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(users.size())) {
      List<Future<Integer>> faults = new ArrayList<>();
      for (Callable<Integer> user : users) {
        faults.add(threads.submit(user));
      }
      assertTrue(warm.await(4, TimeUnit.MINUTES));
      truncate();
      for (int i = 0; i < faults.size(); i++) {
        int of = faults.get(i).get();
        assertTrue(i % 2 == 0 ? of == 0 : of > 1000, "thread " + i + ": " + of);
      }
    }
  }

  /** Stores or reads pages, and counts faults; a doomed one goes on until it has met enough. */
  private int use(boolean sound, boolean reads, int from, Random random, CountDownLatch warm) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment page = own.allocate(PAGE, 64);
      int faults = 0;
      for (int i = 0; i < ROUNDS || (!sound && faults <= 1000); i++) {
        if (i == ROUNDS / 2) {
          warm.countDown();
        }
        long offset = from + (long) random.nextInt(KEPT / 4 / PAGE) * PAGE + (sound ? 0 : KEPT);
        try {
          if (reads) {
            PmemReads.copy(region.view(), offset, page.address(), PAGE);
          } else {
            page.fill((byte) i);
            store(i, offset, page.address());
            if (sound) {
              PmemReads.copy(region.view(), offset, page.address(), PAGE);
              assertEquals((byte) i, page.get(ValueLayout.JAVA_BYTE, i % PAGE));
            }
          }
        } catch (UncheckedIOException | PoisonedMemoryException e) {
          faults++;
        }
      }
      return faults;
    }
  }

  private void store(int i, long offset, long from) {
    if (i % 2 == 0) {
      region.persist(offset, from, PAGE);
    } else {
      region.copy(offset, from, PAGE);
      region.drain();
    }
  }
}
