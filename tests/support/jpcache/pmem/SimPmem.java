package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import jpcache.base.CFunction;
import jpcache.base.Posix;
import jpcache.support.PagedMemory;
import jpcache.support.Power;
import org.jspecify.annotations.Nullable;

/**
 * Persistent memory that knows which stores are durable.
 *
 * <p>There are two memories: what the processors see, where a store shows at once, and what the
 * media hold, which it reaches when the <em>same thread</em> drains. Of what has not been drained
 * when the power goes, whoever stored it, any subset of 8-byte words may have reached the media all
 * the same ({@link Remains}), since a cache line leaves the processor when it likes, and not whole.
 *
 * <p>What a process has stored and not drained when it dies is seen by the next one, but nobody
 * drains it any more ({@link Remains#leaveUndrained}). It reaches the media when somebody stores
 * into the same cache line and drains: lines are written whole.
 *
 * <p>Every copy and every drain is an event of the {@link Power}; {@link #persist} is both.
 *
 * <p>Poisoned pages raise SIGBUS when they are read, as lost ones of real memory do; stores to them
 * fail and do not heal them. Any thread may store; the rest is for one thread while nobody else
 * stores.
 */
public final class SimPmem extends MemoryRegion {
  private static final int WORD_BYTES = 8;
  private static final int LINE_BYTES = 64;
  private static final int PAGE_BYTES = 4096;

  /** MAP_FIXED, and shared so that a page beyond the file's end is a SIGBUS. */
  private static final int MAP_FIXED_SHARED = 0x11;

  private static final int MAP_FIXED_PRIVATE_ANONYMOUS = 0x32;
  private static final int PROT_READ_WRITE = 3;
  private static final int O_TMPFILE = 0x410000;
  private static final CFunction MMAP = CFunction.returningLong("mmap");

  /** A store that is not durable; nobody drains that of a thread whose process has died. */
  private record Store(@Nullable Thread thread, long offsetBytes, MemorySegment bytes) {
    boolean isOfTheDead() {
      return thread == null;
    }

    boolean overlaps(Store other) {
      return other.offsetBytes < offsetBytes + bytes.byteSize()
          && offsetBytes < other.offsetBytes + other.bytes.byteSize();
    }

    boolean sharesLineWith(Store other) {
      return (offsetBytes & -LINE_BYTES) < other.offsetBytes + other.bytes.byteSize()
          && (other.offsetBytes & -LINE_BYTES) < offsetBytes + bytes.byteSize();
    }
  }

  private final Power power;
  private final PagedMemory seen;
  private final MemoryRegion mediaMemory;
  private final PagedMemory media;
  private final List<Store> pending = new ArrayList<>();
  private final BitSet poisoned = new BitSet();
  private long changes;

  /** Memory of zeros, durably. */
  public SimPmem(long sizeBytes, Power power) {
    super(sizeBytes);
    this.power = power;
    seen = new PagedMemory(writable());
    mediaMemory = new MemoryRegion(sizeBytes);
    media = new PagedMemory(mediaMemory.writable());
  }

  @Override
  public String name() {
    return "simulated pmem";
  }

  @Override
  public synchronized void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    power.require();
    if (isPoisoned(offsetBytes, lengthBytes)) {
      throw new UncheckedIOException(new IOException(name() + ": its memory is gone"));
    }
    byte[] bytes =
        MemorySegment.ofAddress(sourceAddress)
            .reinterpret(lengthBytes)
            .toArray(ValueLayout.JAVA_BYTE);
    pending.add(new Store(Thread.currentThread(), offsetBytes, MemorySegment.ofArray(bytes)));
    changes += isDurable(pending.getLast()) ? 0 : 1;
    seen.changes(offsetBytes, lengthBytes);
    super.copy(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public synchronized void drain() {
    power.require();
    List<Store> mine =
        pending.stream().filter(store -> store.thread == Thread.currentThread()).toList();
    pending.removeIf(store -> {
      boolean settles =
          store.thread == Thread.currentThread()
              || (store.isOfTheDead() && mine.stream().anyMatch(store::sharesLineWith));
      if (settles) {
        changes += isDurable(store) ? 0 : 1;
        put(media, store);
      }
      return settles;
    });
  }

  private boolean isDurable(Store store) {
    long end = store.offsetBytes + store.bytes.byteSize();
    return MemorySegment.mismatch(
            store.bytes, 0, store.bytes.byteSize(), media.bytes(), store.offsetBytes, end)
        < 0;
  }

  private static void put(PagedMemory memory, Store store) {
    long length = store.bytes.byteSize();
    memory.changes(store.offsetBytes, length);
    MemorySegment.copy(store.bytes, 0, memory.bytes(), store.offsetBytes, length);
  }

  // ---- power cuts ----

  /** Goes up with whatever changes what a power cut may leave. */
  public synchronized long changes() {
    return changes;
  }

  /** Keeps what is durable. */
  public PagedMemory.Image save() {
    return media.save();
  }

  /** The media hold this, nothing is under way and nothing is poisoned. */
  public synchronized void load(PagedMemory.Image image) {
    heal();
    pending.clear();
    media.load(image);
    seen.load(image);
  }

  /** The power is gone. What the media now may hold; see {@link Remains}. */
  public synchronized Remains remains() {
    List<Store> stores = List.copyOf(pending);
    List<Remains.Word> words = new ArrayList<>();
    for (int store = 0; store < stores.size(); store++) {
      addWords(stores, store, words);
    }
    return new Remains(this, media.save(), words, stores.size());
  }

  /** The words of a store that make a difference: most that is zeroed was zero before. */
  private void addWords(List<Store> stores, int number, List<Remains.Word> words) {
    Store store = stores.get(number);
    long length = store.bytes.byteSize();
    boolean alone = stores.stream().filter(store::overlaps).count() == 1; // itself
    long from = 0;
    while (from < length) {
      long wordEnd = (store.offsetBytes + from & -WORD_BYTES) + WORD_BYTES;
      long to = Math.min(wordEnd - store.offsetBytes, length);
      long at = store.offsetBytes + from;
      if (!alone
          || MemorySegment.mismatch(store.bytes, from, to, media.bytes(), at, at + (to - from))
              >= 0) {
        words.add(new Remains.Word(number, at, store.bytes.asSlice(from, to - from)));
      }
      from = to;
    }
  }

  /** The power has gone: a word has arrived. */
  void arrived(Remains.Word word) {
    Store store = new Store(null, word.offsetBytes(), word.bytes());
    put(media, store);
    put(seen, store);
  }

  /** The process has died: a word is seen. */
  void isSeen(Remains.Word word) {
    Store store = new Store(null, word.offsetBytes(), word.bytes());
    put(seen, store);
    pending.add(store);
  }

  // ---- poison ----

  /** From now on these bytes, whole pages, cannot be read. */
  public synchronized void poison(long offsetBytes, long lengthBytes) {
    int fd = Posix.open("/dev/shm", Posix.O_RDWR | O_TMPFILE, 0600); // an empty file
    assertEquals(true, fd >= 0, "a temporary file: " + fd);
    replacePages(offsetBytes, lengthBytes, MAP_FIXED_SHARED, fd);
    Posix.close(fd);
    poisoned.set(
        (int) (offsetBytes / PAGE_BYTES), (int) ((offsetBytes + lengthBytes) / PAGE_BYTES));
  }

  /** New memory in place of all that was poisoned; it holds what the media do. */
  public synchronized void heal() {
    poisoned.stream()
        .forEach(page -> {
          long at = (long) page * PAGE_BYTES;
          replacePages(at, PAGE_BYTES, MAP_FIXED_PRIVATE_ANONYMOUS, -1);
          MemorySegment.copy(media.bytes(), at, writable(), at, PAGE_BYTES);
        });
    poisoned.clear();
  }

  private void replacePages(long offsetBytes, long lengthBytes, int flags, int fd) {
    assertEquals(0, offsetBytes % PAGE_BYTES);
    assertEquals(0, lengthBytes % PAGE_BYTES);
    long at = address() + offsetBytes;
    assertEquals(at, MMAP.call(at, lengthBytes, PROT_READ_WRITE, flags, fd, 0), "mmap");
  }

  private boolean isPoisoned(long offsetBytes, long lengthBytes) {
    int page = poisoned.nextSetBit((int) (offsetBytes / PAGE_BYTES));
    return page >= 0 && (long) page * PAGE_BYTES < offsetBytes + lengthBytes;
  }

  @Override
  public void close() {
    mediaMemory.close();
    super.close();
  }
}
