package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicReference;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A region over an ordinary file whose msync fails. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class LibpmemRegionTest {
  private static final int SIZE = 8192;
  private static final long PAGE_A = 0;
  private static final long PAGE_B = 4096;
  private static final String NO_LONGER =
      " are not durable: its file system has failed to store (Input/output error), and nothing is"
          + " stored any more; see to the disk, then start jpcache again";

  private final Arena arena = Arena.ofShared();
  private final MemorySegment memory = arena.allocate(SIZE, 4096);
  private final MemorySegment source = arena.allocate(8).fill((byte) 7);
  private final OrdinaryFile file = new OrdinaryFile();
  private final LibpmemRegion region =
      new LibpmemRegion(
          "cache",
          PmemRegion.Kind.NOT_PMEM,
          file,
          new Libpmem.Mapping(memory.address(), SIZE, false),
          () -> {});

  /** What msync says of the page at an offset. */
  private interface Msync {
    int of(long pageOffset);
  }

  /** A libpmem over an ordinary file, of which nothing but msync is wanted. */
  private final class OrdinaryFile implements Libpmem {
    private volatile Msync msync = page -> 0;

    @Override
    public int msync(long address, long lengthBytes) {
      return msync.of((address - memory.address()) & -4096);
    }

    @Override
    public PmemBinding binding() {
      return PmemBinding.FFM;
    }

    @Override
    public long mapFile(long path, long length, int flags, int mode, long mapped, long isPmem) {
      throw new AssertionError();
    }

    @Override
    public int unmap(long address, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public boolean isPmem(long address, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public boolean guardsCopies() {
      throw new AssertionError();
    }

    @Override
    public int memcpyPersist(long to, long from, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public int memcpyNodrain(long to, long from, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public void flush(long address, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public void drain() {
      throw new AssertionError();
    }

    @Override
    public void persist(long address, long lengthBytes) {
      throw new AssertionError();
    }

    @Override
    public long errormsg() {
      throw new AssertionError();
    }
  }

  @AfterEach
  void free() {
    arena.close();
  }

  private void store(long offset) {
    region.copy(offset, source.address(), 8);
  }

  private boolean stored(long offset) {
    return memory.get(ValueLayout.JAVA_BYTE, offset) == 7;
  }

  private static Thread start(Runnable action, AtomicReference<@Nullable Throwable> failure) {
    return Thread.ofPlatform().uncaughtExceptionHandler((t, e) -> failure.set(e)).start(action);
  }

  /** The kernel tells the error of A's page to B, who comes first, and then to nobody. */
  @Test
  void aStoreWhoseErrorWasToldToAnotherFails() throws InterruptedException {
    AtomicReference<@Nullable Throwable> ofA = new AtomicReference<>();
    AtomicReference<@Nullable Throwable> ofB = new AtomicReference<>();
    AtomicReference<@Nullable Thread> threadA = new AtomicReference<>();
    file.msync =
        page -> {
          if (page == PAGE_A) {
            return 0;
          }
          Thread a = start(() -> store(PAGE_A), ofA);
          threadA.set(a);
          while (a.isAlive() && !(stored(PAGE_A) && a.getState() == Thread.State.BLOCKED)) {
            Thread.onSpinWait();
          }
          return -Errno.EIO;
        };
    start(() -> store(PAGE_B), ofB).join();
    Thread a = threadA.get();
    assertTrue(a != null && stored(PAGE_A));
    a.join();
    assertEquals("cache: 8 bytes at 0" + NO_LONGER, message(ofA.get()));
    assertEquals("cache: 8 bytes at 4096" + NO_LONGER, message(ofB.get()));
  }

  private static String message(@Nullable Throwable failure) {
    Throwable cause = failure instanceof UncheckedIOException e ? e.getCause() : null;
    return cause == null ? "not an UncheckedIOException: " + failure : "" + cause.getMessage();
  }

  @Test
  void afterAFailedMsyncNothingIsStoredAnyMore() {
    store(PAGE_B);
    file.msync = page -> -Errno.EIO;
    assertThrows(UncheckedIOException.class, () -> store(PAGE_B));
    file.msync = page -> 0;
    long from = source.address();
    UncheckedIOException e =
        assertThrows(UncheckedIOException.class, () -> region.persist(PAGE_A, from, 8));
    assertEquals("cache: 8 bytes at 0" + NO_LONGER, message(e));
    assertThrows(UncheckedIOException.class, () -> store(PAGE_A));
    assertTrue(!stored(PAGE_A), "nor is it seen");
    region.drain(); // of what copy has stored, all is durable
  }

  @Test
  void threadsThatMeetNoErrorStoreBesideEachOther() throws InterruptedException {
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    Thread other = start(() -> store(PAGE_A), failure);
    store(PAGE_B);
    other.join();
    assertNull(failure.get());
    assertTrue(stored(PAGE_A) && stored(PAGE_B));
  }
}
