package jpcache.backing;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PoisonedMemoryException;
import jpcache.support.PagedMemory;
import jpcache.support.Power;
import org.jspecify.annotations.Nullable;

/**
 * A backing device in memory, as bad as the contract allows. Writes stay in a volatile cache until
 * a flush; at a power cut any sectors of any of them may have reached the medium, in any order, and
 * one in a few is torn. Some requests fail, by seed: a write that failed may have written a part, a
 * flush that failed may have forgotten writes, which reads still show. The device may be gone for a
 * while, and has lost its cache when it is back. Reads may take long: they fetch their data at once
 * and tell it when they are {@link #releaseReads released}.
 *
 * <p>Every write and every flush is an event of the {@link Power}. Requests complete before the
 * call returns, or, threaded, in any order on a thread of the device's. Which requests fail is
 * decided as they come, by seed; in which order a threaded device completes them is not.
 */
public final class SimBacking extends TestDevice {
  public static final int SECTOR = 512;

  private static final int TORN_ONE_IN = 8;

  /** Sectors of a write that have not reached the medium, and still may. */
  private record Unflushed(long offsetBytes, MemorySegment bytes, BitSet sectors) {}

  private final Power power;
  private final SplittableRandom random;

  /** What answers; null if that is the caller's thread. */
  private final @Nullable AnyOrderThread thread;

  /** What reads show, and what survives. */
  private final PagedMemory current;

  private final PagedMemory medium;
  private final List<Unflushed> unflushed = new ArrayList<>();
  private final BitSet sinceGoodFlush = new BitSet();
  private final BitSet written = new BitSet();

  /** Sectors that reads may show newer than they are on the medium. */
  private final BitSet ahead = new BitSet();

  private final List<Runnable> lateReads = new ArrayList<>();
  private boolean holdingReads;
  private int failuresPerThousand;
  private boolean tearing = true;
  private boolean gone;
  private long changes;
  private long writes;
  private long zeroedBytes;
  private long flushes;

  /** A device with blocks of 512 bytes that is always under power and has these bytes, durably. */
  public SimBacking(byte[] bytes, boolean threaded, long seed) {
    this(bytes, SECTOR, threaded, seed, new Power());
  }

  /** A device that has these bytes, durably. */
  public SimBacking(byte[] bytes, int blockBytes, boolean threaded, long seed, Power power) {
    super("simulated device", blockBytes, 4096);
    this.power = power;
    random = new SplittableRandom(seed);
    current = memory(bytes);
    medium = memory(bytes);
    thread = threaded ? new AnyOrderThread("simulated backing") : null;
  }

  private static PagedMemory memory(byte[] bytes) {
    PagedMemory memory = new PagedMemory(Arena.ofAuto().allocate(bytes.length, 4096));
    memory.bytes().copyFrom(MemorySegment.ofArray(bytes));
    memory.changes(0, bytes.length);
    return memory;
  }

  /** Who is told, on the device's thread, of the first thing that an answer has thrown there. */
  public void onFailure(Consumer<Throwable> told) {
    if (thread != null) {
      thread.onFailure(told);
    }
  }

  // ---- faults ----

  /** So many of a thousand requests fail from now on. */
  public synchronized void fail(int perThousand) {
    failuresPerThousand = perThousand;
  }

  /** Whether a power cut may leave a sector half written; no disk admits that it does. */
  public synchronized void tear(boolean sectors) {
    tearing = sectors;
  }

  /** From now on reads fetch their data at once, and tell it at {@link #releaseReads}. */
  public void holdReads() {
    holdingReads = true;
  }

  /** Lets all reads complete. By the thread that holds them. */
  public void releaseReads() {
    holdingReads = false;
    lateReads.forEach(this::submit);
    lateReads.clear();
  }

  /** The device is gone: all requests fail, and some of its cache is lost. */
  public synchronized void disappear() {
    gone = true;
    crash();
  }

  /** The device is back. */
  public synchronized void comeBack() {
    gone = false;
  }

  /** The power fails: of what has not been flushed, anything survives. Nothing is under way. */
  public synchronized void crash() {
    crash(random);
  }

  /** The same, by another seed. */
  public synchronized void crash(SplittableRandom chance) {
    int sixteenths = 16 * chance.nextInt(3) / 2; // none, half, or all of it
    for (Unflushed write : unflushed) {
      write.sectors.stream()
          .filter(sector -> chance.nextInt(16) < sixteenths)
          .forEach(sector -> {
            boolean torn = tearing && sixteenths < 16 && chance.nextInt(TORN_ONE_IN) == 0;
            settle(write, sector, torn ? 8 * chance.nextInt(SECTOR / 8) : SECTOR);
          });
    }
    unflushed.clear();
    showMedium();
  }

  private void showMedium() {
    ahead.stream()
        .forEach(sector -> {
          long at = (long) sector * SECTOR;
          current.changes(at, SECTOR);
          MemorySegment.copy(medium.bytes(), at, current.bytes(), at, SECTOR);
        });
    ahead.clear();
  }

  /**
   * What failed flushes have forgotten is not shown any more, as when a system needs the memory.
   * Until then a process that comes later reads it, and cannot know that it is nowhere else.
   */
  public synchronized void dropForgotten() {
    showMedium();
    unflushed.forEach(this::show);
  }

  private void settle(Unflushed write, int sector, int lengthBytes) {
    long from = (long) sector * SECTOR;
    long to = write.offsetBytes + from;
    medium.changes(to, SECTOR);
    MemorySegment.copy(write.bytes, from, medium.bytes(), to, lengthBytes);
  }

  /** What a power cut may have left: the medium, and writes that may have reached it. */
  public final class Aftermath {
    private final PagedMemory.Image durable = medium.save();
    private final List<Unflushed> onTheirWay = List.copyOf(unflushed);

    private Aftermath() {}

    /** How many writes may or may not have arrived. */
    public int writes() {
      return onTheirWay.size();
    }

    /** The device comes up in a state that is chosen by seed. May be called again. */
    public void leave(SplittableRandom chance) {
      leaveUnflushed();
      crash(chance);
      written.clear();
    }

    /** The device has not noticed anything. */
    public void leaveUnflushed() {
      load(durable);
      for (Unflushed write : onTheirWay) {
        unflushed.add(write);
        show(write);
      }
    }
  }

  /** The power is gone. */
  public synchronized Aftermath aftermath() {
    return new Aftermath();
  }

  // ---- what is there ----

  /** What survives whatever happens. */
  public MemorySegment durable() {
    return medium.bytes();
  }

  /** The same, as it is now. */
  public synchronized byte[] durableBytes() {
    return medium.bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  /** How many writes a power cut could lose, or sectors of them. */
  public synchronized int unflushedWrites() {
    return unflushed.size();
  }

  /** The sectors that were written, in part perhaps, since {@link #forgetWritten}. */
  public synchronized BitSet written() {
    return (BitSet) written.clone();
  }

  public synchronized void forgetWritten() {
    written.clear();
  }

  /** The sectors that were written, in part perhaps, since the last flush that succeeded. */
  public synchronized BitSet writtenSinceGoodFlush() {
    return (BitSet) sinceGoodFlush.clone();
  }

  /** Goes up with whatever changes what a power cut may leave. */
  public synchronized long changes() {
    return changes;
  }

  public synchronized long writes() {
    return writes;
  }

  /** How many bytes were zeroed without being written. */
  public synchronized long zeroedBytes() {
    return zeroedBytes;
  }

  public synchronized long flushes() {
    return flushes;
  }

  /** Keeps what is durable. */
  public synchronized PagedMemory.Image save() {
    return medium.save();
  }

  /** The device holds this, durably, and is sound. */
  public synchronized void load(PagedMemory.Image image) {
    medium.load(image);
    current.load(image);
    unflushed.clear();
    ahead.clear();
    sinceGoodFlush.clear();
    written.clear();
    lateReads.clear();
    holdingReads = false;
    gone = false;
    failuresPerThousand = 0;
  }

  // ---- requests ----

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    int errno = valid(offsetBytes, lengthBytes) ? outcome() : Errno.EINVAL;
    if (errno != 0) {
      submit(() -> done.complete(errno));
    } else if (holdingReads) {
      MemorySegment early = MemorySegment.ofArray(new byte[lengthBytes]);
      fetch(offsetBytes, early);
      lateReads.add(() -> {
        at(address, lengthBytes).copyFrom(early);
        done.complete(0);
      });
    } else {
      submit(() -> {
        fetch(offsetBytes, at(address, lengthBytes));
        done.complete(0);
      });
    }
  }

  private synchronized void fetch(long offsetBytes, MemorySegment into) {
    MemorySegment.copy(current.bytes(), offsetBytes, into, 0, into.byteSize());
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    change(offsetBytes, at(address, lengthBytes), done);
  }

  /** Space that was given up may come back: what a power cut leaves is decided by sector. */
  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    synchronized (this) {
      zeroedBytes += lengthBytes;
    }
    change(offsetBytes, MemorySegment.ofArray(new byte[(int) lengthBytes]), done);
  }

  private void change(long offsetBytes, MemorySegment data, Completion done) {
    int errno = valid(offsetBytes, data.byteSize()) ? eventOutcome() : Errno.EINVAL;
    submit(() -> {
      MemorySegment copy = MemorySegment.ofArray(new byte[(int) data.byteSize()]);
      try {
        PmemReads.copy(data, 0, copy, 0, data.byteSize());
      } catch (PoisonedMemoryException e) {
        done.complete(Errno.EFAULT); // as a system call has it
        return;
      }
      if (errno != Errno.EINVAL) {
        write(offsetBytes, copy, errno != 0);
      }
      done.complete(errno);
    });
  }

  private synchronized void write(long offsetBytes, MemorySegment data, boolean failed) {
    if (gone || power.isOut()) {
      return;
    }
    int sectors = (int) (data.byteSize() / SECTOR);
    BitSet arrived = new BitSet();
    for (int sector = 0; sector < sectors; sector++) {
      arrived.set(sector, !failed || random.nextBoolean());
    }
    Unflushed write = new Unflushed(offsetBytes, data, arrived);
    unflushed.add(write);
    show(write);
    changes++;
    writes++;
  }

  private void show(Unflushed write) {
    write.sectors.stream()
        .forEach(sector -> {
          long at = write.offsetBytes + (long) sector * SECTOR;
          current.changes(at, SECTOR);
          MemorySegment.copy(write.bytes, (long) sector * SECTOR, current.bytes(), at, SECTOR);
          sinceGoodFlush.set((int) (at / SECTOR));
          ahead.set((int) (at / SECTOR));
          written.set((int) (at / SECTOR));
        });
  }

  @Override
  public void flush(Completion done) {
    int errno = eventOutcome();
    submit(() -> {
      flush(errno != 0);
      done.complete(errno);
    });
  }

  private synchronized void flush(boolean failed) {
    if (gone || power.isOut()) {
      return;
    }
    changes += unflushed.isEmpty() ? 0 : 1;
    if (failed) {
      // What a system forgets at a failed flush is still read from its memory.
      unflushed.forEach(write -> forgetSome(write.sectors));
      return;
    }
    for (Unflushed write : unflushed) {
      write.sectors.stream().forEach(sector -> settle(write, sector, SECTOR));
    }
    unflushed.clear();
    sinceGoodFlush.clear();
    flushes++;
  }

  private void forgetSome(BitSet sectors) {
    for (int s = sectors.nextSetBit(0); s >= 0; s = sectors.nextSetBit(s + 1)) {
      sectors.set(s, random.nextBoolean());
    }
  }

  private boolean valid(long offsetBytes, long lengthBytes) {
    return offsetBytes >= 0
        && lengthBytes >= 0
        && offsetBytes <= sizeBytes() - lengthBytes
        && ((offsetBytes | lengthBytes) & (SECTOR_BYTES - 1)) == 0;
  }

  private synchronized int eventOutcome() {
    return power.lasts() ? outcome() : Errno.EIO;
  }

  private synchronized int outcome() {
    boolean fails = gone || power.isOut() || random.nextInt(1000) < failuresPerThousand;
    return fails ? Errno.EIO : 0;
  }

  private static MemorySegment at(long address, int lengthBytes) {
    return MemorySegment.ofAddress(address).reinterpret(lengthBytes);
  }

  private void submit(Runnable action) {
    if (thread != null) {
      thread.submit(action);
    } else {
      action.run();
    }
  }

  @Override
  public long sizeBytes() {
    return medium.bytes().byteSize();
  }

  /** Throws AssertionError if something has failed on the device's thread. */
  @Override
  public void close() {
    if (thread != null) {
      thread.close();
    }
  }
}
