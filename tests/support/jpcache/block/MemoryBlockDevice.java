package jpcache.block;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * A {@link BlockDevice} in memory that does nothing the contract does not promise, and notes
 * whatever its callers do that the contract forbids.
 *
 * <ul>
 *   <li>A write's bytes are taken from the caller's memory when {@link BlockQueue#commit} runs, not
 *       before, and it completes only there: a caller that reuses the memory too early, or answers
 *       too early, writes wrong bytes.
 *   <li>{@link #missWhen} makes chosen reads complete on another thread; {@link #hold} keeps those
 *       back until {@link #release}.
 *   <li>{@link #lendWhen} lets chosen reads borrow. What is lent is a copy, which is unmapped when
 *       the loan ends: whoever sends from it later fails.
 *   <li>{@link #failWhen} makes chosen requests fail, {@link #throwWhen} throws as well.
 *   <li>{@link #waitWhen} makes chosen writes complete on another thread, as those do that wait for
 *       room in a full cache.
 *   <li>{@link #violations} lists what callers did wrong: two threads in one queue at a time, a
 *       range outside the device or unaligned, use after close or after a method has thrown.
 * </ul>
 *
 * Reads and commits exclude one another by one lock, so requests are atomic towards each other,
 * unless {@link #withoutLock} is called (for benchmarks: no protocol asks for it).
 */
public final class MemoryBlockDevice implements BlockDevice, AutoCloseable {
  /** Chooses requests. */
  @FunctionalInterface
  public interface Chooser {
    boolean test(long offsetBytes, long lengthBytes);
  }

  private static final Chooser NONE = (offset, length) -> false;
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private final Arena arena = Arena.ofShared();
  private final MemorySegment bytes;
  private final int minimumBlockBytes;
  private final boolean readOnly;
  private final ReadWriteLock lock = new ReentrantReadWriteLock();

  private final LinkedBlockingQueue<Runnable> misses = new LinkedBlockingQueue<>();
  private final Thread missThread;
  private final Object gate = new Object();
  private boolean held;
  private volatile boolean closed;

  private volatile Chooser missing = NONE;
  private volatile Chooser lending = NONE;
  private volatile Chooser failingLoans = NONE;
  private volatile Chooser failingReads = NONE;
  private volatile Chooser failingWrites = NONE;
  private volatile Chooser throwing = NONE;
  private volatile Chooser waiting = NONE;
  private volatile int failure;
  private volatile boolean missingFlushes;
  private volatile boolean slowZeroes;
  private boolean locking = true;

  private final List<String> violations = new ArrayList<>();
  private final AtomicInteger openQueues = new AtomicInteger();
  private final AtomicInteger commits = new AtomicInteger();
  private final AtomicInteger flushes = new AtomicInteger();
  private final AtomicInteger fuaWrites = new AtomicInteger();
  private final AtomicInteger underWay = new AtomicInteger();
  private final AtomicInteger prefetches = new AtomicInteger();
  private final Loans loans = new Loans();

  /** The minimum blocks that are zeros because they were made so, and those without space. */
  private final BitSet zeroed = new BitSet();

  private final BitSet holes = new BitSet();

  public MemoryBlockDevice(long sizeBytes) {
    this(sizeBytes, 512, false);
  }

  public MemoryBlockDevice(long sizeBytes, int minimumBlockBytes, boolean readOnly) {
    this.bytes = arena.allocate(sizeBytes, 4096);
    this.minimumBlockBytes = minimumBlockBytes;
    this.readOnly = readOnly;
    this.missThread = Thread.ofPlatform().daemon().name("memory-device-misses").start(this::serve);
  }

  // ---- What tests set and ask --------------------------------------------------------------

  /** Reads for which this holds complete on another thread. */
  public MemoryBlockDevice missWhen(Chooser chooser) {
    missing = chooser;
    return this;
  }

  /** Reads for which this holds may borrow. */
  public MemoryBlockDevice lendWhen(Chooser chooser) {
    lending = chooser;
    return this;
  }

  /** Loans for which this holds are of memory that cannot be read. */
  public MemoryBlockDevice failLoansWhen(Chooser chooser) {
    failingLoans = chooser;
    return this;
  }

  /** How many loans have begun, and how many of them have not ended. */
  public int loansBegun() {
    return loans.begun();
  }

  public int openLoans() {
    return loans.open();
  }

  /** Zeros take as long as other writes. */
  public MemoryBlockDevice withSlowZeroes() {
    slowZeroes = true;
    return this;
  }

  /** Whether flushes complete on another thread. */
  public MemoryBlockDevice missFlushes(boolean on) {
    missingFlushes = on;
    return this;
  }

  /** Requests for which these hold complete with {@code errno}. */
  public MemoryBlockDevice failWhen(Chooser reads, Chooser writes, int errno) {
    failure = errno;
    failingReads = reads;
    failingWrites = writes;
    return this;
  }

  /** Reads and writes for which this holds fail, and so does the method that takes them. */
  public MemoryBlockDevice throwWhen(Chooser chooser) {
    throwing = chooser;
    return this;
  }

  /** Writes for which this holds complete on another thread, with a commit or without. */
  public MemoryBlockDevice waitWhen(Chooser chooser) {
    waiting = chooser;
    return this;
  }

  /** Requests run beside each other; before any queue is opened. */
  public MemoryBlockDevice withoutLock() {
    locking = false;
    return this;
  }

  /** Keeps what completes on another thread back. */
  public void hold() {
    synchronized (gate) {
      held = true;
    }
  }

  /** Lets what was kept back complete. */
  public void release() {
    synchronized (gate) {
      held = false;
      gate.notifyAll();
    }
  }

  /** Requests that were handed to the other thread and have not completed. */
  public int outstanding() {
    return underWay.get();
  }

  public int commits() {
    return commits.get();
  }

  public int flushes() {
    return flushes.get();
  }

  public int fuaWrites() {
    return fuaWrites.get();
  }

  public int prefetches() {
    return prefetches.get();
  }

  public int openQueues() {
    return openQueues.get();
  }

  /** What callers did that the contract forbids; empty if all went well. */
  public List<String> violations() {
    if (loans.open() > 0) {
      violation(loans.open() + " loans have not ended");
    }
    synchronized (violations) {
      return List.copyOf(violations);
    }
  }

  /** The device's content: for setting up and for comparing while no request is under way. */
  public MemorySegment bytes() {
    return bytes;
  }

  private void violation(String what) {
    synchronized (violations) {
      if (violations.size() < 100) {
        violations.add(what);
      }
    }
  }

  // ---- BlockDevice -------------------------------------------------------------------------

  @Override
  public long sizeBytes() {
    return bytes.byteSize();
  }

  @Override
  public int minimumBlockBytes() {
    return minimumBlockBytes;
  }

  @Override
  public int preferredBlockBytes() {
    return 4096;
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public boolean zeroesFast() {
    return !slowZeroes;
  }

  @Override
  public BlockQueue openQueue() {
    openQueues.incrementAndGet();
    return new Queue();
  }

  /** Gives the memory up; queues must be closed before. */
  @Override
  public void close() {
    closed = true;
    release();
    misses.add(() -> {});
    try {
      missThread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return; // its thread may still touch the memory
    }
    loans.close();
    arena.close();
  }

  private void serve() {
    try {
      while (!closed || !misses.isEmpty()) {
        Runnable miss = misses.take();
        synchronized (gate) {
          while (held) {
            gate.wait();
          }
        }
        miss.run();
      }
    } catch (InterruptedException e) {
      violation("the thread of misses was interrupted");
    }
  }

  /** Writes that wait for their commit; in arrays, so that benchmarks measure no allocation. */
  private static final class Writes {
    private long[] offsets = new long[64];
    private long[] lengths = new long[64];
    private long[] addresses = new long[64];
    private Completion[] done = new Completion[64];
    private int count;

    void add(long offset, long length, long address, Completion completion) {
      if (count == done.length) {
        offsets = Arrays.copyOf(offsets, 2 * count);
        lengths = Arrays.copyOf(lengths, 2 * count);
        addresses = Arrays.copyOf(addresses, 2 * count);
        done = Arrays.copyOf(done, 2 * count);
      }
      offsets[count] = offset;
      lengths[count] = length;
      addresses[count] = address;
      done[count++] = completion;
    }
  }

  /** In place of a write's address: zeros, and whether their space is given up. */
  private static final long ZEROS = 0;

  private static final long HOLE = -1;

  /** With the lock held. */
  private void apply(long offset, long length, long address) {
    int from = (int) (offset / minimumBlockBytes);
    int to = from + (int) (length / minimumBlockBytes);
    zeroed.set(from, to, address == ZEROS || address == HOLE);
    holes.set(from, to, address == HOLE);
    if (zeroed.get(from)) {
      bytes.asSlice(offset, length).fill((byte) 0);
    } else {
      MemorySegment.copy(ALL, address, bytes, offset, length);
    }
  }

  private final class Queue implements BlockQueue {
    private final List<Completion> prefetching = new ArrayList<>();
    private final AtomicReference<@Nullable Thread> user = new AtomicReference<>();
    private final Writes writes = new Writes();
    private final List<Completion> uncommittedFlushes = new ArrayList<>();
    private boolean broken;
    private boolean closed;

    @Override
    public void read(long offset, int length, long address, Completion done) {
      enter("read", offset, length);
      try {
        throwIfChosen(offset, length, done);
        if (failingReads.test(offset, length)) {
          done.complete(failure);
        } else if (missing.test(offset, length)) {
          later(() -> copyOut(offset, length, address), done);
        } else {
          copyOut(offset, length, address);
          done.complete(0);
        }
      } finally {
        leave();
      }
    }

    @Override
    public boolean lend(long offset, int length, Loan loan) {
      enter("lend", offset, length);
      try {
        if (!lending.test(offset, length)) {
          return false;
        }
        if (failingLoans.test(offset, length)) {
          loans.beginUnreadable(length, loan);
        } else {
          copyOut(offset, length, loans.begin(length, loan));
        }
        return true;
      } finally {
        leave();
      }
    }

    @Override
    public void write(long offset, int length, long address, boolean fua, Completion done) {
      enter("write", offset, length);
      add(offset, length, address, fua, done);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean unmap, boolean fua, Completion done) {
      enter("write zeroes", offset, length, bytes.byteSize());
      add(offset, length, unmap ? HOLE : ZEROS, fua, done);
    }

    private void add(long offset, long length, long address, boolean fua, Completion done) {
      try {
        if (readOnly) {
          violation("a write to a device that is read-only");
        }
        if (fua) {
          fuaWrites.incrementAndGet();
        }
        throwIfChosen(offset, length, done);
        if (failingWrites.test(offset, length)) {
          done.complete(failure);
        } else if (waiting.test(offset, length)) {
          addWaiting(offset, length, address, done);
        } else {
          writes.add(offset, length, address, done);
        }
      } finally {
        leave();
      }
    }

    private void addWaiting(long offset, long length, long address, Completion done) {
      boolean zeroes = address == ZEROS || address == HOLE;
      MemorySegment copy = zeroes ? MemorySegment.NULL : Arena.ofAuto().allocate(length);
      if (!zeroes) {
        MemorySegment.copy(ALL, address, copy, 0, length);
      }
      later(
          () -> {
            lock(lock.writeLock());
            try {
              apply(offset, length, zeroes ? address : copy.address());
            } finally {
              unlock(lock.writeLock());
            }
          },
          done);
    }

    private void throwIfChosen(long offset, long length, Completion done) {
      if (throwing.test(offset, length)) {
        broken = true;
        done.complete(Errno.EIO);
        throw new IllegalStateException("as the test wants it");
      }
    }

    @Override
    public void prefetch(long offset, long length, Completion done) {
      enter("prefetch", offset, length, bytes.byteSize());
      try {
        prefetches.incrementAndGet();
        if (failingReads.test(offset, length)) {
          done.complete(failure);
        } else if (missing.test(offset, length)) {
          Completion once = once(done);
          prefetching.add(once);
          later(() -> {}, once);
        } else {
          done.complete(0);
        }
      } finally {
        leave();
      }
    }

    private static Completion once(Completion done) {
      AtomicBoolean told = new AtomicBoolean();
      return errno -> {
        if (!told.getAndSet(true)) {
          done.complete(errno);
        }
      };
    }

    @Override
    public void abandonPrefetches() {
      prefetching.forEach(done -> done.complete(0));
      prefetching.clear();
    }

    @Override
    public void describe(long offset, long length, ExtentSink sink) {
      enter("describe", offset, length, bytes.byteSize());
      try {
        int end = (int) ((offset + length) / minimumBlockBytes);
        boolean more = true;
        for (int at = (int) (offset / minimumBlockBytes); at < end && more; ) {
          int next;
          int flags;
          lock(lock.readLock());
          try {
            flags = flags(at);
            for (next = at + 1; next < end && flags(next) == flags; ) {
              next++;
            }
          } finally {
            unlock(lock.readLock());
          }
          more = sink.extent((long) (next - at) * minimumBlockBytes, flags);
          at = next;
        }
      } finally {
        leave();
      }
    }

    private int flags(int block) {
      return (zeroed.get(block) ? ExtentSink.ZERO : 0) | (holes.get(block) ? ExtentSink.HOLE : 0);
    }

    @Override
    public void flush(Completion done) {
      enter("flush", 0, minimumBlockBytes);
      try {
        flushes.incrementAndGet();
        if (missingFlushes) {
          later(() -> {}, done);
        } else {
          uncommittedFlushes.add(done);
        }
      } finally {
        leave();
      }
    }

    @Override
    public void commit() {
      enter("commit", 0, minimumBlockBytes);
      try {
        uncommittedFlushes.forEach(done -> done.complete(0));
        uncommittedFlushes.clear();
        if (writes.count == 0) {
          return;
        }
        commits.incrementAndGet();
        lock(lock.writeLock());
        try {
          for (int i = 0; i < writes.count; i++) {
            apply(writes.offsets[i], writes.lengths[i], writes.addresses[i]);
          }
        } finally {
          unlock(lock.writeLock());
        }
        for (int i = 0; i < writes.count; i++) {
          writes.done[i].complete(0);
        }
        writes.count = 0;
      } finally {
        leave();
      }
    }

    @Override
    public void close() {
      broken = false;
      enter("close", 0, minimumBlockBytes);
      for (int i = 0; i < writes.count; i++) {
        writes.done[i].complete(Errno.ESHUTDOWN);
      }
      writes.count = 0;
      uncommittedFlushes.forEach(done -> done.complete(Errno.ESHUTDOWN));
      uncommittedFlushes.clear();
      closed = true;
      openQueues.decrementAndGet();
      leave();
    }

    private void later(Runnable work, Completion done) {
      underWay.incrementAndGet();
      misses.add(() -> {
        work.run();
        underWay.decrementAndGet();
        done.complete(0);
      });
    }

    private void copyOut(long offset, int length, long address) {
      lock(lock.readLock());
      try {
        MemorySegment.copy(bytes, offset, ALL, address, length);
      } finally {
        unlock(lock.readLock());
      }
    }

    private void lock(Lock side) {
      if (locking) {
        side.lock();
      }
    }

    private void unlock(Lock side) {
      if (locking) {
        side.unlock();
      }
    }

    private void enter(String what, long offset, int length) {
      enter(what, offset, length, MAX_TRANSFER_BYTES);
    }

    private void enter(String what, long offset, long length, long most) {
      Thread before = user.getAndSet(Thread.currentThread());
      if (before != null) {
        violation(what + " while " + before + " was in the queue");
      }
      if (closed) {
        violation(what + " after close");
      }
      if (broken) {
        violation(what + " after a method has thrown");
      }
      if (((offset | length) & (minimumBlockBytes - 1)) != 0
          || length <= 0
          || length > most
          || offset < 0
          || offset > bytes.byteSize() - length) {
        violation(what + " of " + length + " at " + offset);
        throw new IllegalArgumentException(what + " of " + length + " at " + offset);
      }
    }

    private void leave() {
      user.set(null);
    }
  }
}
