package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import jpcache.backing.BackingDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.Position;
import jpcache.media.SharedZeros;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Brings the log's data to the backing device, from dirty_tail on, a batch of ksets at a time: the
 * newest data of the batch, sorted, as many at once as the device wants; one backing flush; then
 * dirty_tail. The backing device thus always holds a prefix of the log at batch granularity, which
 * is a state that its user's crash recovery knows.
 *
 * <p>Data is written straight from the mapping where it lies in one piece; neighbours that do not
 * are gathered first, since one large request costs less than many small ones.
 *
 * <p>Zeros are not written but made: keys of zeroed ranges are known by where they point, and large
 * data that is all zeros by a look at it, which is over with the first byte that is none. The
 * device is asked to give up the space only where a client did.
 *
 * <p>Whatever fails, the whole batch is written again later: after a failed flush nothing since the
 * last good one can be relied on.
 *
 * <p>Used by the maintenance thread.
 *
 * <p>Kernel counterpart: {@code cache_writeback.c: cache_writeback_fn}.
 */
final class WriteBack {
  /** A batch ends before its size is reached if its keys are for less than 2 KiB each. */
  static final int KEYS_PER_MIB = 512;

  /** A batch is looked at after each key set. */
  private static final int MOST_KEYS = WriteBatch.MAX_KEYS - Layout.KSET_MAX_KEYS;

  private static final int GATHER_BYTES = 256 << 10;
  private static final int ALIGNMENT_BYTES = 4096;

  private final CacheMedia media;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ZeroExtents zeros;
  private final BackingDevice backing;
  private final Tails tails;
  private final ExtentMap map;
  private final LogHead log;
  private final DirectWrites direct;

  private final WriteBatch batch = new WriteBatch();
  private final DirtyDataCheck check;
  private final Window window;
  private final AtomicInteger firstErrno = new AtomicInteger();
  private final AtomicLong endedBytes = new AtomicLong();

  /**
   * Where the batch ends that was begun and has failed, or null: the device may hold any part of
   * it, so the next one must not end before it.
   */
  private @Nullable Position interrupted;

  /** Direct writes that have entered keys. */
  private final Events directKeys = new Events();

  /** Flushes that failed: what direct writes had brought to the device before must come again. */
  private final Events doubts = new Events();

  private long collectedBytes;

  /** Where the batch's keys of zeroed ranges begin, whatever lies over them. */
  private long[] zeroKeyOffsets = new long[KEYS_PER_MIB];

  private int zeroKeys;
  private final AtomicLong writtenBackBytes = new AtomicLong();
  private final ArrayDeque<MemorySegment> buffers = new ArrayDeque<>();
  private final Parts newest = new Parts();
  private final ExtentList extents = new ExtentList();

  WriteBack(
      CacheMedia media,
      PmemRegion region,
      SegmentTable segments,
      ZeroExtents zeros,
      BackingDevice backing,
      Tails tails,
      ExtentMap map,
      LogHead log,
      DirectWrites direct) {
    this.media = media;
    this.region = region;
    this.segments = segments;
    this.zeros = zeros;
    this.backing = backing;
    this.tails = tails;
    this.map = map;
    this.log = log;
    this.direct = direct;
    check = new DirtyDataCheck(media, map);
    // A third more than the device works on: when a quarter of it has ended, all is still at work.
    window = new Window(backing.queueDepth() * 4 / 3);
  }

  /**
   * Writes back one batch of what lies before {@code end}, a place where the log durably ended.
   *
   * @param mostBytes so much data, about, or as many keys as go with it
   * @param progress told between requests, on this thread, how many bytes of the log more have been
   *     written; they are not durable yet
   * @return 0, or the error that the batch failed with; dirty_tail has not moved then. EBADMSG: the
   *     cache's data is damaged ({@link DirtyDataCheck})
   */
  int run(Position end, long mostBytes, LongConsumer progress) {
    directKeys.look(direct.entered(), direct.isIdle());
    doubts.look(direct.flushes().failures(), true);
    Position next = collect(interrupted != null ? interrupted : end, mostBytes);
    batch.plan();
    if (!check.passes(batch)) {
      return Errno.EBADMSG; // nothing has been written: the next batch may end elsewhere
    }
    int errno = 0;
    if (batch.extents() > 0) {
      errno = writeAll(progress);
      errno = errno == 0 ? flush() : errno;
    }
    if (errno == 0 && !doubts.isLast(direct.flushes().failures())) {
      errno = Errno.EIO; // a flush failed meanwhile, and with it what this batch relied on
    }
    interrupted = errno == 0 ? null : next;
    if (errno == 0) {
      tails.moveDirtyTail(next);
      markClean();
      directKeys.passed();
      doubts.passed();
      writtenBackBytes.addAndGet(collectedBytes);
    }
    return errno;
  }

  /**
   * Events, counted, whose keys lie in the log somewhere; and whether dirty_tail has passed them
   * all.
   */
  private final class Events {
    private long seen;
    private long settled;
    private @Nullable Position lastOnes;
    private long lastOnesCount;
    private boolean reached;

    /**
     * A batch begins.
     *
     * @param count how many events there have been
     * @param logged whether the keys of all of them are in the log by now
     */
    void look(long count, boolean logged) {
      seen = count;
      reached = false;
      if (count != settled && logged && lastOnes == null) {
        lastOnes = log.position();
        lastOnesCount = count;
      }
    }

    void at(Position position) {
      reached |= position.equals(lastOnes);
    }

    /** All that the batch came by has been dealt with. */
    void passed() {
      if (reached) {
        settled = lastOnesCount;
        lastOnes = null;
      }
    }

    boolean isLast(long count) {
      return count == seen;
    }

    /** Whether keys of such events may lie ahead of dirty_tail. */
    boolean isPending(long count) {
      return count != settled;
    }
  }

  /** What has been brought to the backing device and is still the newest is clean from now on. */
  private void markClean() {
    for (int extent = 0; extent < batch.extents(); extent++) {
      if (!batch.hasPlace(extent)) {
        continue;
      }
      long at = batch.offsetBytes(extent);
      int place = batch.segmentOffsetBytes(extent);
      for (long end = at + batch.lengthBytes(extent); at < end; ) {
        long subtreeEnd = (at & -ExtentMap.SUBTREE_BYTES) + ExtentMap.SUBTREE_BYTES;
        int length = (int) (Math.min(end, subtreeEnd) - at);
        Subtree subtree = map.subtree(at);
        synchronized (subtree) {
          subtree.markClean(Extent.ofBytes(at, length, batch.segment(extent), place));
        }
        at += length;
        place += length;
      }
    }
    for (int key = 0; key < zeroKeys; key++) {
      Subtree subtree = map.subtree(zeroKeyOffsets[key]);
      synchronized (subtree) {
        if (subtree.cleanZeroKey()) {
          zeros.markClean(subtree);
        }
      }
    }
  }

  /** How many bytes of keys have been brought to the backing device, or need not be any more. */
  long writtenBackBytes() {
    return writtenBackBytes.get();
  }

  /** How much data the last batch took from the log. */
  long batchBytes() {
    return batch.addedDataBytes();
  }

  private Position collect(Position end, long mostBytes) {
    long mostKeys = Math.min((mostBytes >> 20) * KEYS_PER_MIB, MOST_KEYS);
    batch.clear();
    LogReader reader = new LogReader(media, tails.dirtyTail(), backing.sizeBytes());
    collectedBytes = 0;
    zeroKeys = 0;
    markEvents(reader.head());
    while (batch.addedDataBytes() < mostBytes
        && batch.addedZeroBytes() < WriteBatch.ZERO_BYTES_AT_ONCE
        && batch.keys() < mostKeys
        && !reader.head().equals(end)
        && reader.next()) {
      Kset kset = reader.kset();
      for (int key = 0; key < kset.keyCount(); key++) {
        int segment = kset.keySegment(key);
        if (kset.keyIsStale(key, segments.generation(segment))) {
          continue;
        }
        if (kset.keyIsClean(key)) {
          batch.addClean(kset.keyOffset(key), kset.keyLength(key));
        } else {
          addDirty(kset, key);
        }
      }
      markEvents(reader.head());
    }
    return reader.head();
  }

  private void addDirty(Kset kset, int key) {
    long offset = kset.keyOffset(key);
    int length = kset.keyLength(key);
    int segment = kset.keySegment(key);
    int place = kset.keySegmentOffset(key);
    collectedBytes += zeros.roomBytes(segment, place, length);
    check.expect(batch.keys(), kset.keyDataCrc(key));
    if (zeros.holds(segment, place)) {
      batch.addZeros(offset, length, place == SharedZeros.UNMAPPED_AT);
      if (zeroKeys == zeroKeyOffsets.length) {
        zeroKeyOffsets = Arrays.copyOf(zeroKeyOffsets, 2 * zeroKeys);
      }
      zeroKeyOffsets[zeroKeys++] = offset;
    } else if (SharedZeros.areMuch(region.view(), segments.dataOffset(segment) + place, length)) {
      batch.addZeroData(offset, length, segment, place);
    } else {
      batch.add(offset, length, segment, place);
    }
  }

  private void markEvents(Position position) {
    directKeys.at(position);
    doubts.at(position);
  }

  private int writeAll(LongConsumer progress) {
    firstErrno.set(0);
    endedBytes.set(0);
    long toldBytes = 0;
    for (int extent = 0; extent < batch.extents() && firstErrno.get() == 0; ) {
      int end = gatherable(extent);
      long from = batch.offsetBytes(extent);
      long bytes = batch.offsetBytes(end - 1) + batch.lengthBytes(end - 1) - from;
      DeviceOrder.Turn turn = direct.order().takeForWriteBack(from, bytes);
      window.enter();
      toldBytes = tell(progress, toldBytes);
      // Asked with the turn taken: a direct write of these bytes goes after it, or has been seen.
      if (directKeys.isPending(direct.entered())) {
        writeNewest(extent, end, turn);
      } else if (batch.isZeros(extent)) {
        writeZeros(extent, turn);
      } else if (end == extent + 1) {
        writeExtent(extent, turn);
      } else {
        writeGathered(extent, end, turn);
      }
      extent = end;
    }
    boolean more;
    do {
      more = window.awaitSome();
      toldBytes = tell(progress, toldBytes);
    } while (more);
    return firstErrno.get();
  }

  /** Tells of what has been written since the last time; returns how much that is in all. */
  private long tell(LongConsumer progress, long toldBytes) {
    // What was overwritten within the batch is done with as well.
    long dataBytes = Math.max(1, batch.bytes() - batch.zeroBytes());
    double done = Math.min(1, (double) endedBytes.get() / dataBytes);
    long nowBytes = (long) (done * collectedBytes);
    if (nowBytes > toldBytes) {
      progress.accept(nowBytes - toldBytes);
    }
    return nowBytes;
  }

  /** Behind the last of the adjoining extents from this one on that fit a buffer together. */
  private int gatherable(int first) {
    int end = first + 1;
    long bytes = batch.lengthBytes(first);
    while (!batch.isZeros(first)
        && end < batch.runEnd(first)
        && !batch.isZeros(end)
        && bytes + batch.lengthBytes(end) <= GATHER_BYTES) {
      bytes += batch.lengthBytes(end);
      end++;
    }
    return end;
  }

  private void writeZeros(int extent, DeviceOrder.Turn turn) {
    Completion done =
        errno -> {
          direct.order().leave(turn);
          requestEnded(errno, 0);
        };
    backing.zero(
        batch.offsetBytes(extent), batch.lengthBytes(extent), batch.mayUnmap(extent), done);
  }

  private void writeExtent(int extent, DeviceOrder.Turn turn) {
    long address = region.address() + place(extent);
    int length = batch.lengthBytes(extent);
    Completion done =
        errno -> {
          direct.order().leave(turn);
          requestEnded(errno, length);
        };
    backing.write(batch.offsetBytes(extent), length, address, done);
  }

  /**
   * Writes what the cache has nothing newer for. With direct writes in the log, a batch of it must
   * not bring back to the device what one of those, behind the batch, has replaced there; nor need
   * it bring what one has brought.
   */
  private void writeNewest(int first, int end, DeviceOrder.Turn turn) {
    AtomicInteger parts = new AtomicInteger(1);
    int writtenBytes = 0;
    int allBytes = 0;
    for (int extent = first; extent < end; extent++) {
      allBytes += batch.lengthBytes(extent);
      findNewest(extent);
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
        if (batch.hasPlace(extent)) {
          long address = region.address() + newest.place(part);
          backing.write(newest.offsetBytes(part), length, address, done);
        } else {
          backing.zero(newest.offsetBytes(part), length, batch.mayUnmap(extent), done);
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
  private void findNewest(int extent) {
    newest.clear();
    long at = batch.offsetBytes(extent);
    long end = at + batch.lengthBytes(extent);
    int place = batch.segmentOffsetBytes(extent);
    boolean trusted = !doubts.isPending(direct.flushes().failures());
    while (at < end) {
      long subtreeStart = at & -ExtentMap.SUBTREE_BYTES;
      int length = (int) (Math.min(end, subtreeStart + ExtentMap.SUBTREE_BYTES) - at);
      boolean shared = !batch.hasPlace(extent);
      long wanted =
          shared
              ? Extent.ofBytes(at, length, 0, 0)
              : Extent.ofBytes(at, length, batch.segment(extent), place);
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

  private void writeGathered(int first, int end, DeviceOrder.Turn turn) {
    MemorySegment buffer = takeBuffer();
    int length = 0;
    try {
      for (int extent = first; extent < end; extent++) {
        PmemReads.copy(region.view(), place(extent), buffer, length, batch.lengthBytes(extent));
        length += batch.lengthBytes(extent);
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
    backing.write(batch.offsetBytes(first), length, buffer.address(), done);
  }

  private long place(int extent) {
    return segments.dataOffset(batch.segment(extent)) + batch.segmentOffsetBytes(extent);
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

  private int flush() {
    window.enter();
    firstErrno.set(0);
    direct.flushes().flush(errno -> requestEnded(errno, 0));
    window.awaitAll();
    return firstErrno.get();
  }
}
