package jpcache.cache;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
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
import org.jspecify.annotations.Nullable;

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
  private final Completion flushed = errno -> requestEnded(errno, 0);
  private final SegmentAllocator memory;

  /** As large as it ever gets: who gives a buffer back must not need memory for that. */
  private final ArrayDeque<MemorySegment> buffers;

  private final Parts newest = new Parts();
  private final ExtentList extents = new ExtentList();

  /**
   * @param memory where buffers come from, which live as long as this
   */
  BatchRequests(
      PmemRegion region,
      SegmentTable segments,
      ZeroExtents zeros,
      BackingDevice backing,
      ExtentMap map,
      DirectWrites direct,
      SegmentAllocator memory) {
    this.region = region;
    this.segments = segments;
    this.zeros = zeros;
    this.backing = backing;
    this.map = map;
    this.direct = direct;
    // A third more than the device works on: when a quarter of it has ended, all is still at work.
    int most = backing.queueDepth() * 4 / 3;
    window = new Window(most);
    buffers = new ArrayDeque<>(most);
    this.memory = memory;
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
    direct.flushes().flush(flushed);
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
    Request request = request(turn, end > first + 1);
    if (request == null) {
      return;
    }
    window.enter();
    if (request.buffer != null) {
      writeGathered(writes, first, end, request, request.buffer);
    } else if (writes.isZeros(first)) {
      backing.zero(
          writes.offsetBytes(first), writes.lengthBytes(first), writes.mayUnmap(first), request);
    } else {
      request.dataBytes = writes.lengthBytes(first);
      long address = region.address() + place(writes, first);
      backing.write(writes.offsetBytes(first), request.dataBytes, address, request);
    }
  }

  /**
   * A request and all it needs, before it counts as under way.
   *
   * @return null if there is no memory: the batch has failed, and the turn is left
   */
  private @Nullable Request request(DeviceOrder.Turn turn, boolean gathers) {
    try {
      return new Request(turn, gathers ? takeBuffer() : null);
    } catch (OutOfMemoryError e) {
      firstErrno.compareAndSet(0, Errno.ENOMEM);
      direct.order().leave(turn);
      return null;
    }
  }

  /** All that goes to the device in one turn. */
  private final class Request implements Completion {
    private final DeviceOrder.Turn turn;
    private final @Nullable MemorySegment buffer;

    /** How much progress it is: zeros are none. */
    private int dataBytes;

    Request(DeviceOrder.Turn turn, @Nullable MemorySegment buffer) {
      this.turn = turn;
      this.buffer = buffer;
    }

    @Override
    public void complete(int errno) {
      if (buffer != null) {
        giveBuffer(buffer);
      }
      try {
        direct.order().leave(turn); // others go, and may throw
      } finally {
        requestEnded(errno, dataBytes);
      }
    }
  }

  /**
   * Writes what the cache has nothing newer for. With direct writes in the log, a batch of it must
   * not bring back to the device what one of those, behind the batch, has replaced there; nor need
   * it bring what one has brought.
   *
   * @param trusted whether what is marked as clean is on the device
   */
  void writeNewest(WriteBatch writes, int first, int end, boolean trusted, DeviceOrder.Turn turn) {
    Request request = request(turn, false);
    if (request == null) {
      return;
    }
    window.enter();
    Completion whole = request;
    int result = Errno.EIO;
    try {
      Miss parts = new Miss(request);
      Completion part = errno -> partEnded(parts, errno);
      whole = parts;
      for (int extent = first; extent < end; extent++) {
        request.dataBytes += writes.isZeros(extent) ? 0 : writes.lengthBytes(extent);
        findNewest(writes, extent, trusted);
        writeNewest(writes, extent, parts, part);
      }
      result = 0;
    } catch (OutOfMemoryError e) {
      result = Errno.ENOMEM;
    } finally {
      whole.complete(result);
    }
  }

  /** Writes the parts of an extent that were found; each has a place of its own in the window. */
  private void writeNewest(WriteBatch writes, int extent, Miss parts, Completion done) {
    for (int part = 0; part < newest.size(); part++) {
      window.enter();
      parts.addPart();
      long offset = newest.offsetBytes(part);
      int length = newest.lengthBytes(part);
      if (writes.hasPlace(extent)) {
        backing.write(offset, length, region.address() + newest.place(part), done);
      } else {
        backing.zero(offset, length, writes.mayUnmap(extent), done);
      }
    }
  }

  private void partEnded(Miss parts, int errno) {
    try {
      parts.complete(errno);
    } finally {
      window.leave();
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

  private void writeGathered(
      WriteBatch writes, int first, int end, Request request, MemorySegment buffer) {
    int length = 0;
    try {
      for (int extent = first; extent < end; extent++) {
        PmemReads.copy(
            region.view(), place(writes, extent), buffer, length, writes.lengthBytes(extent));
        length += writes.lengthBytes(extent);
      }
    } catch (PoisonedMemoryException e) {
      request.complete(Errno.EIO);
      return;
    }
    request.dataBytes = length;
    backing.write(writes.offsetBytes(first), length, buffer.address(), request);
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
      return free != null ? free : memory.allocate(GATHER_BYTES, ALIGNMENT_BYTES);
    }
  }

  private void giveBuffer(MemorySegment buffer) {
    synchronized (buffers) {
      buffers.push(buffer);
    }
  }
}
