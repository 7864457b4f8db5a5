package jpcache.backing;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * A backing device in memory as bad as the contract allows: it keeps writes in a volatile cache
 * until a flush, completes requests in any order on a thread of its own, fails some, writes a part
 * of what failed, and forgets writes when a flush fails.
 *
 * <p>Which requests fail is decided as they come, by seed; in which order they complete is not.
 */
public final class UnreliableBacking implements BackingDevice {
  private static final int SECTOR = 512;

  private final MemorySegment current;
  private final MemorySegment durable;

  /** Sectors that are newer in {@link #current}; {@link #lost} ones will not be made durable. */
  private final BitSet unflushed = new BitSet();

  private final BitSet lost = new BitSet();
  private final BitSet sinceGoodFlush = new BitSet();
  private final SplittableRandom random;
  private final List<Runnable> waiting = new ArrayList<>();
  private final List<Runnable> late = new ArrayList<>();
  private final boolean threaded;
  private boolean holding;
  private int failuresPerThousand;
  private boolean closed;
  private long flushes;

  /** A device that has these bytes, durably; it keeps the array for what is durable. */
  public UnreliableBacking(byte[] bytes, boolean threaded, long seed) {
    current = MemorySegment.ofArray(bytes.clone());
    durable = MemorySegment.ofArray(bytes);
    random = new SplittableRandom(seed);
    this.threaded = threaded;
    if (threaded) {
      Thread.ofPlatform().daemon().name("unreliable backing").start(this::completeInAnyOrder);
    }
  }

  /** So many of a thousand requests fail from now on. */
  public synchronized void fail(int perThousand) {
    failuresPerThousand = perThousand;
  }

  /** From now on reads fetch their data at once, and tell it at {@link #releaseReads}. */
  public void holdReads() {
    holding = true;
  }

  /** Lets all reads complete. By the thread that holds them. */
  public void releaseReads() {
    holding = false;
    late.forEach(this::submit);
    late.clear();
  }

  /** What survives whatever happens. */
  public MemorySegment durable() {
    return durable;
  }

  public synchronized long flushes() {
    return flushes;
  }

  /** The sectors that were written since the last flush that succeeded. */
  public synchronized BitSet writtenSinceGoodFlush() {
    return (BitSet) sinceGoodFlush.clone();
  }

  /** The power fails: of what has not been flushed, any sectors survive. Nothing is under way. */
  public synchronized void crash() {
    unflushed.stream().filter(sector -> random.nextBoolean()).forEach(this::makeDurable);
    MemorySegment.copy(durable, 0, current, 0, current.byteSize());
    unflushed.clear();
    lost.clear();
  }

  private void makeDurable(int sector) {
    long at = (long) sector * SECTOR;
    MemorySegment.copy(current, at, durable, at, SECTOR);
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    int errno = outcome();
    if (holding) {
      MemorySegment early = MemorySegment.ofArray(new byte[lengthBytes]);
      fetch(offsetBytes, early);
      late.add(() -> {
        memory(address, lengthBytes).copyFrom(early);
        done.complete(errno);
      });
      return;
    }
    submit(() -> {
      fetch(offsetBytes, memory(address, lengthBytes));
      done.complete(errno);
    });
  }

  private synchronized void fetch(long offsetBytes, MemorySegment into) {
    MemorySegment.copy(current, offsetBytes, into, 0, into.byteSize());
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    change(offsetBytes, lengthBytes, memory(address, lengthBytes), done);
  }

  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    change(
        offsetBytes, (int) lengthBytes, MemorySegment.ofArray(new byte[(int) lengthBytes]), done);
  }

  private void change(long offsetBytes, int lengthBytes, MemorySegment data, Completion done) {
    int errno = outcome();
    submit(() -> {
      synchronized (this) {
        int first = (int) (offsetBytes / SECTOR);
        for (int i = 0; i < lengthBytes / SECTOR; i++) {
          if (errno == 0 || random.nextBoolean()) {
            MemorySegment.copy(
                data, (long) i * SECTOR, current, offsetBytes + (long) i * SECTOR, SECTOR);
            unflushed.set(first + i);
            sinceGoodFlush.set(first + i);
            lost.clear(first + i);
          }
        }
      }
      done.complete(errno);
    });
  }

  @Override
  public void flush(Completion done) {
    int errno = outcome();
    submit(() -> {
      synchronized (this) {
        if (errno == 0) {
          flushes++;
          unflushed.andNot(lost);
          unflushed.stream().forEach(this::makeDurable);
          unflushed.clear();
          unflushed.or(lost);
          sinceGoodFlush.clear();
        } else {
          // What a system forgets at a failed flush is still read from its memory.
          unflushed.stream().filter(sector -> random.nextBoolean()).forEach(lost::set);
        }
      }
      done.complete(errno);
    });
  }

  private synchronized int outcome() {
    return random.nextInt(1000) < failuresPerThousand ? Errno.EIO : 0;
  }

  private static MemorySegment memory(long address, int lengthBytes) {
    return MemorySegment.ofAddress(address).reinterpret(lengthBytes);
  }

  private void submit(Runnable action) {
    if (!threaded) {
      action.run();
      return;
    }
    synchronized (waiting) {
      waiting.add(action);
      waiting.notifyAll();
    }
  }

  private void completeInAnyOrder() {
    SplittableRandom order = new SplittableRandom();
    while (true) {
      Runnable next;
      synchronized (waiting) {
        while (waiting.isEmpty()) {
          if (closed) {
            return;
          }
          try {
            waiting.wait();
          } catch (InterruptedException e) {
            return;
          }
        }
        next = waiting.remove(order.nextInt(waiting.size()));
      }
      next.run();
    }
  }

  @Override
  public String name() {
    return "unreliable";
  }

  @Override
  public long sizeBytes() {
    return durable.byteSize();
  }

  @Override
  public int blockBytes() {
    return SECTOR;
  }

  @Override
  public int directAlignmentBytes() {
    return SECTOR;
  }

  @Override
  public boolean readOnly() {
    return false;
  }

  @Override
  public void close() {
    synchronized (waiting) {
      closed = true;
      waiting.notifyAll();
    }
  }
}
