package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import jpcache.backing.BackingDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.extent.WriteBatch;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;

/**
 * The requests by which a batch of write-back reaches the backing device, as many at once as that
 * wants.
 *
 * <p>Data is written straight from the mapping where it lies in one piece; neighbours that do not
 * are gathered first, since one large request costs less than many small ones.
 *
 * <p>Zeros are not written but made. The device is asked to give up the space only where a client
 * did.
 *
 * <p>Used by the maintenance thread; requests end on any.
 *
 * <p>Kernel counterpart: {@code cache_writeback.c: cache_key_writeback}.
 */
final class BatchRequests {
  private static final int GATHER_BYTES = 256 << 10;
  private static final int ALIGNMENT_BYTES = 4096;

  private final PmemRegion region;
  private final SegmentTable segments;
  private final ZeroExtents zeros;
  private final BackingDevice backing;
  private final ExtentMap map;
  private final DirectWrites direct;
  private final Window window;
  private final AtomicInteger firstErrno = new AtomicInteger();
  private final AtomicLong endedBytes = new AtomicLong();
  private final ArrayDeque<MemorySegment> buffers = new ArrayDeque<>();
  private final Parts newest = new Parts();
  private final ExtentList extents = new ExtentList();

  BatchRequests(
      PmemRegion region,
      SegmentTable segments,
      ZeroExtents zeros,
      BackingDevice backing,
      ExtentMap map,
      DirectWrites direct) {
    this.region = region;
    this.segments = segments;
    this.zeros = zeros;
    this.backing = backing;
    this.map = map;
    this.direct = direct;
    // A third more than the device works on: when a quarter of it has ended, all is still at work.
    window = new Window(backing.queueDepth() * 4 / 3);
  }

  /** A batch begins: none of its requests has ended or failed. */
  void begin() {
    firstErrno.set(0);
    endedBytes.set(0);
  }

  /** What the first request failed with since, or 0. */
  int errno() {
    return firstErrno.get();
  }

  /** How much data has been written by now. */
  long endedBytes() {
    return endedBytes.get();
  }

  /** Waits until one more request may be made. */
  void awaitPlace() {
    window.awaitPlace();
  }

  /** Waits until some of the requests have ended; false if that was all. */
  boolean awaitSome() {
    return window.awaitSome();
  }

  /** Makes all durable that has ended; returns 0 or the error. No request is under way. */
  int flush() {
    window.enter();
    firstErrno.set(0);
    direct.flushes().flush(errno -> requestEnded(errno, 0));
    window.awaitAll();
    return firstErrno.get();
  }

  /** Behind the last of the adjoining extents from this one on that fit a buffer together. */
  static int gatherable(WriteBatch writes, int first) {
    int end = first + 1;
    long bytes = writes.lengthBytes(first);
    while (!writes.isZeros(first)
        && end < writes.runEnd(first)
        && !writes.isZeros(end)
        && bytes + writes.lengthBytes(end) <= GATHER_BYTES) {
      bytes += writes.lengthBytes(end);
      end++;
    }
    return end;
  }

  /**
   * Writes the extents from one to another, which are {@link #gatherable}.
   *
   * @param turn is left when that has ended
   */
  void write(WriteBatch writes, int first, int end, DeviceOrder.Turn turn) {
    window.enter();
    if (writes.isZeros(first)) {
      writeZeros(writes, first, turn);
    } else if (end == first + 1) {
      writeExtent(writes, first, turn);
    } else {
      writeGathered(writes, first, end, turn);
    }
  }

  private void writeZeros(WriteBatch writes, int extent, DeviceOrder.Turn turn) {
    Completion done =
        errno -> {
          direct.order().leave(turn);
          requestEnded(errno, 0);
        };
    backing.zero(
        writes.offsetBytes(extent), writes.lengthBytes(extent), writes.mayUnmap(extent), done);
  }

  private void writeExtent(WriteBatch writes, int extent, DeviceOrder.Turn turn) {
    long address = region.address() + place(writes, extent);
    int length = writes.lengthBytes(extent);
    Completion done =
        errno -> {
          direct.order().leave(turn);
          requestEnded(errno, length);
        };
    backing.write(writes.offsetBytes(extent), length, address, done);
  }

  /**
   * Writes what the cache has nothing newer for. With direct writes in the log, a batch of it must
   * not bring back to the device what one of those, behind the batch, has replaced there; nor need
   * it bring what one has brought.
   *
   * @param trusted whether what is marked as clean is on the device
   */
  void writeNewest(WriteBatch writes, int first, int end, boolean trusted, DeviceOrder.Turn turn) {
    window.enter();
    AtomicInteger parts = new AtomicInteger(1);
    int writtenBytes = 0;
    int allBytes = 0;
    for (int extent = first; extent < end; extent++) {
      allBytes += writes.lengthBytes(extent);
      findNewest(writes, extent, trusted);
      for (int part = 0; part < newest.size(); part++) {
        int length = newest.lengthBytes(part);
        writtenBytes += length;
        parts.incrementAndGet();
        window.enter();
        Completion done =
            errno -> {
              requestEnded(errno, length);
              leaveAfterLast(parts, turn);
            };
        if (writes.hasPlace(extent)) {
          long address = region.address() + newest.place(part);
          backing.write(newest.offsetBytes(part), length, address, done);
        } else {
          backing.zero(newest.offsetBytes(part), length, writes.mayUnmap(extent), done);
        }
      }
    }
    leaveAfterLast(parts, turn);
    requestEnded(0, allBytes - writtenBytes);
  }

  private void leaveAfterLast(AtomicInteger parts, DeviceOrder.Turn turn) {
    if (parts.decrementAndGet() == 0) {
      direct.order().leave(turn);
    }
  }

  /** Finds the parts of an extent that are the newest of their bytes and not yet on the device. */
  private void findNewest(WriteBatch writes, int extent, boolean trusted) {
    newest.clear();
    long at = writes.offsetBytes(extent);
    long end = at + writes.lengthBytes(extent);
    int place = writes.segmentOffsetBytes(extent);
    while (at < end) {
      long subtreeStart = at & -ExtentMap.SUBTREE_BYTES;
      int length = (int) (Math.min(end, subtreeStart + ExtentMap.SUBTREE_BYTES) - at);
      boolean shared = !writes.hasPlace(extent);
      long wanted =
          shared
              ? Extent.ofBytes(at, length, 0, 0)
              : Extent.ofBytes(at, length, writes.segment(extent), place);
      extents.clear();
      Subtree subtree = map.subtree(at);
      synchronized (subtree) {
        subtree.overlaps(Extent.start(wanted), Extent.end(wanted), extents);
      }
      for (int i = 0; i < extents.size(); i++) {
        long part = extents.get(i);
        boolean same = shared ? zeros.holds(part) : Extent.sameData(part, wanted);
        if (same && !(trusted && Extent.isClean(part))) {
          newest.add(
              subtreeStart + Extent.startBytes(part),
              segments.dataOffset(Extent.segment(part)) + Extent.placeBytes(part),
              (int) Extent.lengthBytes(part));
        }
      }
      at += length;
      place += length;
    }
  }

  private void writeGathered(WriteBatch writes, int first, int end, DeviceOrder.Turn turn) {
    MemorySegment buffer = takeBuffer();
    int length = 0;
    try {
      for (int extent = first; extent < end; extent++) {
        PmemReads.copy(
            region.view(), place(writes, extent), buffer, length, writes.lengthBytes(extent));
        length += writes.lengthBytes(extent);
      }
    } catch (PoisonedMemoryException e) {
      giveBuffer(buffer);
      direct.order().leave(turn);
      requestEnded(Errno.EIO, length);
      return;
    }
    int written = length;
    Completion done =
        errno -> {
          giveBuffer(buffer);
          direct.order().leave(turn);
          requestEnded(errno, written);
        };
    backing.write(writes.offsetBytes(first), length, buffer.address(), done);
  }

  private long place(WriteBatch writes, int extent) {
    return segments.dataOffset(writes.segment(extent)) + writes.segmentOffsetBytes(extent);
  }

  private void requestEnded(int errno, int lengthBytes) {
    if (errno != 0) {
      firstErrno.compareAndSet(0, errno);
    } else {
      endedBytes.addAndGet(lengthBytes);
    }
    window.leave();
  }

  private MemorySegment takeBuffer() {
    synchronized (buffers) {
      MemorySegment free = buffers.poll();
      return free != null ? free : Arena.ofAuto().allocate(GATHER_BYTES, ALIGNMENT_BYTES);
    }
  }

  private void giveBuffer(MemorySegment buffer) {
    synchronized (buffers) {
      buffers.push(buffer);
    }
  }
}
