package jpcache.cache;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;

/**
 * The writes that are answered when the backing device has them ({@link DirectWrite}), in
 * write-through and write-around.
 *
 * <p>They are made on the threads of clients, or of whoever makes way for them, and end on the
 * device's. {@link #stage} holds its caller up while too much is under way.
 */
final class DirectWrites {
  private static final long MAX_BYTES = 64L << 20;

  /** What a range counts for that the device makes zeros: up to 1 GiB. */
  private static final int ZEROS_COST_BYTES = 1 << 20;

  private final Cache cache;
  private final DeviceOrder order = new DeviceOrder();
  private final BackingFlushes flushes;
  private final WriteBuffers buffers = new WriteBuffers();
  private long bytes;
  private boolean closed;

  /** Writes whose turn has come and which have not ended; goes up before {@link #entered} does. */
  private final AtomicInteger underWay = new AtomicInteger();

  private final AtomicLong entered;

  /**
   * None so far.
   *
   * @param before whether the log may have keys of direct writes already
   */
  DirectWrites(Cache cache, BackingFlushes flushes, boolean before) {
    this.cache = cache;
    this.flushes = flushes;
    entered = new AtomicLong(before ? 1 : 0);
  }

  /** How many direct writes have begun to enter keys; it has gone up before the first is there. */
  long entered() {
    return entered.get();
  }

  /** Whether all that {@link #entered} counted before this call have ended. */
  boolean isIdle() {
    return underWay.get() == 0;
  }

  DeviceOrder order() {
    return order;
  }

  BackingFlushes flushes() {
    return flushes;
  }

  /** Whether a caller would have to wait: it starts what it has staged before it does. */
  synchronized boolean isFull() {
    return bytes >= MAX_BYTES;
  }

  /** Returns when there is room for another write, or when nobody shall wait any more. */
  synchronized void awaitRoom() {
    boolean interrupted = false;
    while (bytes >= MAX_BYTES && !closed) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Whether no write is staged, waits for its turn or is under way. */
  synchronized boolean isQuiet() {
    return bytes == 0;
  }

  /** Nobody waits any more. */
  synchronized void close() {
    closed = true;
    notifyAll();
  }

  /** A write with its data copied and its place in the order taken. */
  DirectWrite stage(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    MemorySegment buffer = buffers.take(lengthBytes);
    MemorySegment source = MemorySegment.ofAddress(address).reinterpret(lengthBytes);
    MemorySegment.copy(source, 0, buffer, 0, lengthBytes);
    return counted(new DirectWrite(this, offsetBytes, lengthBytes, fua, done, buffer, false));
  }

  /** A range that the device makes zeros, with its place in the order taken. */
  DirectWrite stageZeros(
      long offsetBytes, int lengthBytes, boolean unmap, boolean fua, Completion done) {
    return counted(new DirectWrite(this, offsetBytes, lengthBytes, fua, done, null, unmap));
  }

  /** Comes last: what could not be made must not count, or its room would never come back. */
  private synchronized DirectWrite counted(DirectWrite write) {
    bytes += countedBytes(write);
    return write;
  }

  private static int countedBytes(DirectWrite write) {
    return write.buffer == null ? ZEROS_COST_BYTES : write.lengthBytes;
  }

  /** The write will not be made. Its pieces have been given back. */
  void withdraw(DirectWrite write) {
    leave(write);
  }

  /** Lets a write go as soon as its turn comes. What it keeps in the cache has been drained. */
  void start(DirectWrite write) {
    order.go(write.turn);
  }

  /** The write's turn has come. */
  void run(DirectWrite write) {
    underWay.incrementAndGet();
    entered.incrementAndGet();
    int errno = Errno.EIO;
    try {
      BitSet overtaken = overtaken(write);
      if (enterKeys(write)) {
        sendParts(write, overtaken);
        errno = 0;
      }
    } finally {
      write.parts.complete(errno);
    }
  }

  private void sendParts(DirectWrite write, BitSet overtaken) {
    int sectors = write.lengthBytes >>> Extent.SECTOR_SHIFT;
    for (int at = overtaken.nextClearBit(0); at < sectors; ) {
      int next = overtaken.nextSetBit(at);
      int end = next < 0 ? sectors : next;
      write.parts.addPart();
      send(write, (long) at << Extent.SECTOR_SHIFT, (end - at) << Extent.SECTOR_SHIFT);
      at = overtaken.nextClearBit(end);
    }
  }

  private void send(DirectWrite write, long skippedBytes, int lengthBytes) {
    Completion done = write.parts;
    long offset = write.offsetBytes + skippedBytes;
    if (write.buffer == null) {
      cache.backing().zero(offset, lengthBytes, write.unmap, done);
    } else {
      cache.backing().write(offset, lengthBytes, write.buffer.address() + skippedBytes, done);
    }
  }

  /**
   * The sectors that were not cached when the write was staged and are now: a batch of another mode
   * has been committed meanwhile. Its data may be on the device already, and never comes again, so
   * there this write counts as the earlier one.
   */
  private BitSet overtaken(DirectWrite write) {
    BitSet sectors = new BitSet();
    if (write.unsettled.isEmpty()) {
      return sectors; // all of it is kept
    }
    ExtentList extents = new ExtentList();
    long end = write.endBytes();
    for (long at = write.offsetBytes; at < end; ) {
      long subtreeStart = at & -ExtentMap.SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + ExtentMap.SUBTREE_BYTES);
      int first = Extent.sectorInSubtree(at);
      extents.clear();
      Subtree subtree = cache.map().subtree(at);
      synchronized (subtree) {
        subtree.overlaps(first, first + (int) ((to - at) >>> Extent.SECTOR_SHIFT), extents);
      }
      int before = (int) ((at - write.offsetBytes) >>> Extent.SECTOR_SHIFT) - first;
      for (int i = 0; i < extents.size(); i++) {
        sectors.set(before + Extent.start(extents.get(i)), before + Extent.end(extents.get(i)));
      }
      at = to;
    }
    for (int piece = 0; piece < write.pieces.pieces(); piece++) {
      int from = (int) ((write.pieces.offset(piece) - write.offsetBytes) >>> Extent.SECTOR_SHIFT);
      sectors.clear(from, from + (write.pieces.length(piece) >>> Extent.SECTOR_SHIFT));
    }
    return sectors;
  }

  private boolean enterKeys(DirectWrite write) {
    if (write.pieces.pieces() == 0) {
      return true;
    }
    StagedWrites pieces = write.pieces;
    KeyInsertion keys = new KeyInsertion(cache);
    // Until the device has answered: what is then marked clean must be this data and no later.
    for (int piece = 0; piece < pieces.pieces(); piece++) {
      cache.segments().addReference(pieces.segment(piece));
    }
    try {
      boolean all = keys.insert(pieces);
      return keys.makeDurable() && all;
    } finally {
      for (int piece = keys.entered(); piece < pieces.pieces(); piece++) {
        cache.segments().release(pieces.segment(piece));
      }
      cache.log().head().release(pieces.pieces() - keys.entered());
      cache.roomMayHaveCome();
    }
  }

  /** The device has answered, or the write has not come so far. */
  void written(DirectWrite write, int errno) {
    try {
      if (errno == 0) {
        markClean(write);
      }
    } finally {
      try {
        releasePieces(write);
      } finally {
        end(write, errno);
      }
    }
  }

  private void markClean(DirectWrite write) {
    for (int piece = 0; piece < write.pieces.pieces(); piece++) {
      long offset = write.pieces.offset(piece);
      Subtree subtree = cache.map().subtree(offset);
      synchronized (subtree) {
        subtree.markClean(
            Extent.ofBytes(
                offset,
                write.pieces.length(piece),
                write.pieces.segment(piece),
                write.pieces.segmentOffset(piece)));
      }
    }
  }

  private void releasePieces(DirectWrite write) {
    for (int piece = 0; piece < write.pieces.pieces(); piece++) {
      cache.segments().release(write.pieces.segment(piece));
    }
  }

  /** Whatever becomes of those that this one makes way for, it is answered. */
  private void end(DirectWrite write, int errno) {
    underWay.decrementAndGet();
    try {
      leave(write);
    } finally {
      if (errno == 0 && write.fua) {
        flushes.flush(write.done);
      } else {
        write.done.complete(errno);
      }
    }
  }

  private void leave(DirectWrite write) {
    long vouchedBy = flushes.written();
    for (Fills.Unsettled range : write.unsettled) {
      range.written(vouchedBy);
    }
    if (write.buffer != null) {
      buffers.give(write.buffer);
    }
    synchronized (this) {
      bytes -= countedBytes(write);
      notifyAll();
    }
    try {
      order.leave(write.turn);
    } finally {
      cache.directWriteLeft();
    }
  }
}
