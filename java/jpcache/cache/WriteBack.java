package jpcache.cache;

import java.lang.foreign.Arena;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import jpcache.backing.BackingDevice;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/**
 * Brings the log's data to the backing device, from dirty_tail on, a batch of ksets at a time: the
 * newest data of the batch, sorted, as many at once as the device wants; one backing flush; then
 * dirty_tail. The backing device thus always holds a prefix of the log at batch granularity, which
 * is a state that its user's crash recovery knows. While the device works on the last requests of a
 * batch, the next one is read and planned.
 *
 * <p>Whatever fails, the whole batch is written again later: after a failed flush nothing since the
 * last good one can be relied on.
 *
 * <p>Used by the maintenance thread.
 *
 * <p>Kernel counterpart: {@code cache_writeback.c: cache_writeback_fn}.
 */
final class WriteBack {
  /** A batch that was left before its end, without an error. */
  static final int LEFT = -1;

  /** More keeps no device busier, and a stop waits for it. */
  static final long MOST_UNDER_WAY_BYTES = 16L << 20;

  private final ZeroExtents zeros;
  private final Tails tails;
  private final ExtentMap map;
  private final LogHead log;
  private final DirectWrites direct;

  private LogBatch batch;

  /** The batch behind it, as far as it has been read. */
  private LogBatch ahead;

  private final DirtyDataCheck check;
  private final BatchRequests requests;

  /**
   * Where the batch ends that was begun and has not ended well, or null: the device may hold any
   * part of it, so the next one must not end before it.
   */
  private @Nullable Position interrupted;

  /** Direct writes that have entered keys. */
  private final Events directKeys = new Events();

  /** Flushes that failed: what direct writes had brought to the device before must come again. */
  private final Events doubts = new Events();

  private final AtomicLong writtenBackBytes = new AtomicLong();

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
    this.zeros = zeros;
    this.tails = tails;
    this.map = map;
    this.log = log;
    this.direct = direct;
    batch = new LogBatch(media, region, segments, zeros, backing.sizeBytes(), tails.dirtyTail());
    ahead = new LogBatch(media, region, segments, zeros, backing.sizeBytes(), tails.dirtyTail());
    check = new DirtyDataCheck(media, map);
    requests = new BatchRequests(region, segments, zeros, backing, map, direct, Arena.ofAuto());
  }

  /**
   * Writes back one batch of what lies before {@code end}, a place where the log durably ended.
   *
   * @param mostBytes so much data, about, or as many keys as go with it
   * @param progress told between requests, on this thread, how many bytes of the log more have been
   *     written; they are not durable yet
   * @param leaves asked between requests, whether to make no more of them: the batch is then left
   *     as one that has failed is
   * @return 0, or the error that the batch failed with, or {@link #LEFT}; dirty_tail has not moved
   *     then. EBADMSG: the cache's data is damaged ({@link DirtyDataCheck})
   */
  int run(Position end, long mostBytes, LongConsumer progress, BooleanSupplier leaves) {
    directKeys.look(direct.entered(), direct.isIdle());
    doubts.look(direct.flushes().failures(), true);
    begin(mostBytes);
    Position last = interrupted != null ? interrupted : end;
    batch.extend(last, mostBytes, this::markEvents);
    Position next = batch.end();
    if (!check.passes(batch)) {
      return Errno.EBADMSG; // nothing has been written: the next batch may end elsewhere
    }
    interrupted = next;
    int errno = 0;
    if (writes().extents() > 0) {
      errno = writeAll(last, mostBytes, progress, leaves);
      errno = errno == 0 ? requests.flush() : errno;
    }
    if (errno == 0 && !doubts.isLast(direct.flushes().failures())) {
      errno = Errno.EIO; // a flush failed meanwhile, and with it what this batch relied on
    }
    if (errno == 0) {
      tails.moveDirtyTail(next);
      interrupted = null;
      markClean();
      directKeys.passed();
      doubts.passed();
      writtenBackBytes.addAndGet(batch.roomBytes());
    }
    return errno;
  }

  /**
   * Begins a batch at dirty_tail: with what the last one has read ahead, unless that is more than
   * it may be now, or holds keys that are looked for.
   */
  private void begin(long mostBytes) {
    Position dirtyTail = tails.dirtyTail();
    if (!ahead.suits(dirtyTail, mostBytes) || directKeys.areAwaited() || doubts.areAwaited()) {
      ahead.clear(dirtyTail);
    }
    LogBatch done = batch;
    batch = ahead;
    ahead = done;
    ahead.clear(dirtyTail); // a batch that fails is read again
    markEvents(dirtyTail);
  }

  /** Reads the next batch, as far as this one could have gone. */
  private void lookAhead(Position last, long mostBytes) {
    ahead.clear(batch.end());
    try {
      ahead.extend(last, mostBytes, position -> {});
    } catch (UserException e) {
      ahead.clear(batch.end()); // the next batch comes by it, and tells
    }
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

    /** Whether a batch must tell where it comes by. */
    boolean areAwaited() {
      return lastOnes != null;
    }

    /** Whether keys of such events may lie ahead of dirty_tail. */
    boolean isPending(long count) {
      return count != settled;
    }
  }

  /** What has been brought to the backing device and is still the newest is clean from now on. */
  private void markClean() {
    for (int extent = 0; extent < writes().extents(); extent++) {
      if (!writes().hasPlace(extent)) {
        continue;
      }
      long at = writes().offsetBytes(extent);
      int place = writes().segmentOffsetBytes(extent);
      for (long end = at + writes().lengthBytes(extent); at < end; ) {
        long subtreeEnd = (at & -ExtentMap.SUBTREE_BYTES) + ExtentMap.SUBTREE_BYTES;
        int length = (int) (Math.min(end, subtreeEnd) - at);
        Subtree subtree = map.subtree(at);
        synchronized (subtree) {
          subtree.markClean(Extent.ofBytes(at, length, writes().segment(extent), place));
        }
        at += length;
        place += length;
      }
    }
    for (int key = 0; key < batch.zeroKeys(); key++) {
      Subtree subtree = map.subtree(batch.zeroKeyOffset(key));
      synchronized (subtree) {
        if (subtree.cleanZeroKey()) {
          zeros.markClean(subtree);
        }
      }
    }
  }

  /** What the batch is to write. */
  private WriteBatch writes() {
    return batch.writes();
  }

  /** How many bytes of keys have been brought to the backing device, or need not be any more. */
  long writtenBackBytes() {
    return writtenBackBytes.get();
  }

  /** How much data the last batch took from the log. */
  long batchBytes() {
    return writes().addedDataBytes();
  }

  private void markEvents(Position position) {
    directKeys.at(position);
    doubts.at(position);
  }

  private int writeAll(
      Position last, long mostBytes, LongConsumer progress, BooleanSupplier leaves) {
    requests.begin();
    long toldBytes = 0;
    long begunBytes = 0;
    boolean left = false;
    for (int extent = 0; extent < writes().extents() && requests.errno() == 0; ) {
      int next = BatchRequests.gatherable(writes(), extent);
      long from = writes().offsetBytes(extent);
      long bytes = writes().offsetBytes(next - 1) + writes().lengthBytes(next - 1) - from;
      requests.awaitPlace();
      awaitBytes(begunBytes);
      left = leaves.getAsBoolean();
      if (left) {
        break;
      }
      // Who is told may wait for direct writes, and fail: so no turn is held, which they wait for.
      toldBytes = tell(progress, toldBytes);
      DeviceOrder.Turn turn = direct.order().takeForWriteBack(from, bytes);
      // Asked with the turn taken: a direct write of these bytes goes after it, or has been seen.
      if (directKeys.isPending(direct.entered())) {
        boolean trusted = !doubts.isPending(direct.flushes().failures());
        requests.writeNewest(writes(), extent, next, trusted, turn);
      } else {
        requests.write(writes(), extent, next, turn);
        begunBytes += writes().isZeros(extent) ? 0 : bytes;
      }
      extent = next;
    }
    if (!left) {
      lookAhead(last, mostBytes);
    }
    boolean more;
    do {
      more = requests.awaitSome();
      toldBytes = tell(progress, toldBytes);
    } while (more);
    return left && requests.errno() == 0 ? LEFT : requests.errno();
  }

  /** Waits until no more is under way of what has begun than a stop may have to wait for. */
  private void awaitBytes(long begunBytes) {
    boolean more = true;
    while (more && begunBytes - requests.endedBytes() >= MOST_UNDER_WAY_BYTES) {
      more = requests.awaitSome();
    }
  }

  /** Tells of what has been written since the last time; returns how much that is in all. */
  private long tell(LongConsumer progress, long toldBytes) {
    // What was overwritten within the batch is done with as well.
    long dataBytes = Math.max(1, writes().bytes() - writes().zeroBytes());
    double done = Math.min(1, (double) requests.endedBytes() / dataBytes);
    long nowBytes = (long) (done * batch.roomBytes());
    if (nowBytes > toldBytes) {
      progress.accept(nowBytes - toldBytes);
    }
    return nowBytes;
  }
}
