package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Queue;
import java.util.function.Predicate;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.Subtree;
import org.jspecify.annotations.Nullable;

/**
 * Brings ranges that clients have asked for into the cache: what is missing of them is read, a few
 * requests at a time whoever asked, and enters as clean data ({@link Fills}). Ranges take turns, a
 * request each: one of terabytes does not keep the others waiting.
 *
 * <p>A range is done when all of it has been brought or cannot be: where the cache needs room for
 * writes, or nobody wants it any more, the rest of it is left. It fails only if the backing device
 * does.
 *
 * <p>Any thread. The monitor guards the ranges; nobody holds it during a request or a completion.
 */
final class Prefetches {
  private static final Logger LOG = System.getLogger(Prefetches.class.getName());
  private static final int DEPTH = 8;
  private static final int REQUEST_BYTES = 256 << 10;
  private static final int ALIGNMENT_BYTES = 4096;
  private static final int TAKEN = -1;

  /** A range that is being brought. */
  private static final class Range {
    final long end;
    final Completion done;
    final BlockQueue owner;

    /** All before has been asked for, or need not be. */
    long at;

    int underWay;
    int errno;

    /** What has not been asked for is left. Written with the monitor. */
    volatile boolean abandoned;

    private boolean told;

    Range(long offsetBytes, long lengthBytes, Completion done, BlockQueue owner) {
      at = offsetBytes;
      end = offsetBytes + lengthBytes;
      this.done = done;
      this.owner = owner;
    }

    /** Whether it is done, and whoever asks is to tell. */
    boolean becomesDone() {
      boolean becomes = !told && (at == end || abandoned) && underWay == 0;
      told |= becomes;
      return becomes;
    }
  }

  /** A request and its buffer; used again. */
  private final class Request implements Completion {
    final MemorySegment buffer;
    @Nullable Range range;

    Request(MemorySegment buffer) {
      this.buffer = buffer;
    }

    @Override
    public void complete(int errno) {
      ended(this, errno);
    }
  }

  private final Cache cache;
  private final SegmentAllocator memory;

  /** In the order of their turns. */
  private final Deque<Range> waiting = new ArrayDeque<>();

  /** Nothing until the first range comes: most clients never ask. */
  private final Queue<Request> idle = new ArrayDeque<>(DEPTH);

  private boolean haveRequests;
  private boolean closed;

  /** Somebody starts requests; whoever comes meanwhile has him look again. */
  private boolean starting;

  private boolean lookAgain;

  /** Of whoever starts requests. */
  private final ExtentList extents = new ExtentList();

  /**
   * @param memory where buffers come from, which live as long as this
   */
  Prefetches(Cache cache, SegmentAllocator memory) {
    this.cache = cache;
    this.memory = memory;
  }

  /**
   * Brings a range in; {@code done} may be called before this returns.
   *
   * @param owner who may {@link #abandon} it
   */
  void add(long offsetBytes, long lengthBytes, Completion done, BlockQueue owner) {
    int errno = take(offsetBytes, lengthBytes, done, owner);
    if (errno == TAKEN) {
      startRequests();
    } else {
      done.complete(errno);
    }
  }

  /** {@link #TAKEN}, or with what error the range is done, if any. */
  private synchronized int take(
      long offsetBytes, long lengthBytes, Completion done, BlockQueue owner) {
    if (closed) {
      return 0;
    }
    try {
      boolean taken =
          (haveRequests || makeRequests())
              && waiting.add(new Range(offsetBytes, lengthBytes, done, owner));
      return taken ? TAKEN : Errno.ENOMEM;
    } catch (OutOfMemoryError e) {
      return Errno.ENOMEM;
    }
  }

  /** Leaves what has not begun of an owner's ranges; they are done with what is under way. */
  void abandon(BlockQueue owner) {
    leave(range -> range.owner.equals(owner));
  }

  /** The same for all ranges, and those to come: what is to stop waits for no hint. */
  void close() {
    synchronized (this) {
      closed = true;
    }
    leave(range -> true);
  }

  private void leave(Predicate<Range> which) {
    List<Range> done = new ArrayList<>();
    synchronized (this) {
      waiting.removeIf(range -> {
        range.abandoned = which.test(range);
        if (range.abandoned && range.becomesDone()) {
          done.add(range);
        }
        return range.abandoned;
      });
    }
    done.forEach(range -> range.done.complete(range.errno));
  }

  /** All at once, so that a range that has been taken never lacks one; whether there is memory. */
  private boolean makeRequests() {
    try {
      MemorySegment buffers = memory.allocate((long) DEPTH * REQUEST_BYTES, ALIGNMENT_BYTES);
      for (int i = 0; i < DEPTH; i++) {
        idle.add(new Request(buffers.asSlice((long) i * REQUEST_BYTES, REQUEST_BYTES)));
      }
      haveRequests = true;
    } catch (OutOfMemoryError e) {
      idle.clear();
      LOG.log(Level.WARNING, "no memory to prefetch with: {0}", e.getMessage());
    }
    return haveRequests;
  }

  /** Requests may end before they have been started, so this must not call itself. */
  private void startRequests() {
    synchronized (this) {
      lookAgain = true;
      if (starting) {
        return;
      }
      starting = true;
    }
    boolean all = false;
    try {
      while (startNext()) {
        // until no range waits, or no request is idle
      }
      all = true;
    } finally {
      if (!all) {
        startBehindFailure();
      }
    }
  }

  /** Something was thrown: the ranges that wait must not wait for ever. */
  private void startBehindFailure() {
    synchronized (this) {
      starting = false;
    }
    startRequests();
  }

  /** False if nothing can be started any more, and nobody is starting from now on. */
  private boolean startNext() {
    Range range;
    Request request;
    synchronized (this) {
      range = waiting.peek();
      request = range == null ? null : takeRequest(range);
      if (range == null || request == null) {
        starting = lookAgain;
        lookAgain = false;
        return starting;
      }
      waiting.add(waiting.remove()); // the others' turns come first
    }
    start(range, request);
    return true;
  }

  private @Nullable Request takeRequest(Range range) {
    Request request = idle.poll();
    if (request != null) {
      request.range = range;
      range.underWay++;
    }
    return request;
  }

  /** Starts reading the next of a range that is missing. */
  private void start(Range range, Request request) {
    long at = range.at;
    boolean begun = false;
    boolean found = false;
    Fill fill = null;
    try {
      while (at < range.end && !begun) {
        if (range.abandoned || !cache.fillsMisses()) {
          at = range.end;
          break;
        }
        long to = Math.min(range.end, (at & -SUBTREE_BYTES) + SUBTREE_BYTES);
        Subtree subtree = cache.map().subtree(at);
        synchronized (subtree) {
          long hole = firstHole(subtree, at, to);
          at = to;
          if (hole < to) {
            int length = (int) Math.min(REQUEST_BYTES, holeEnd(hole, to) - hole);
            fill = cache.fills().begin(hole, length, request.buffer.address(), true, request);
            at = hole + length;
            begun = true;
          }
        }
      }
      found = true;
    } finally {
      if (!found) {
        giveUp(range, request);
      }
    }
    boolean done;
    synchronized (this) {
      range.at = at;
      if (at == range.end) {
        waiting.removeLastOccurrence(range);
      }
      done = range.becomesDone(); // a read that was joined may have ended by now
    }
    if (done) {
      range.done.complete(range.errno);
    }
    if (fill != null) {
      cache.backing().read(fill.offsetBytes, fill.lengthBytes, fill.address, fill);
    } else if (!begun) {
      ended(request, 0);
    }
  }

  /** The next of a range could not be asked for: it ends when what is under way has. */
  private void giveUp(Range range, Request request) {
    synchronized (this) {
      range.at = range.end;
      waiting.remove(range);
    }
    ended(request, Errno.EIO);
  }

  private long firstHole(Subtree subtree, long from, long to) {
    extents.clear();
    int start = Extent.sectorInSubtree(from);
    int end = start + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
    subtree.overlaps(start, end, extents);
    int hole = start;
    for (int i = 0; i < extents.size() && Extent.start(extents.get(i)) == hole; i++) {
      hole = Extent.end(extents.get(i));
    }
    return from + ((long) (hole - start) << Extent.SECTOR_SHIFT);
  }

  private long holeEnd(long hole, long to) {
    long subtreeStart = hole & -SUBTREE_BYTES;
    for (int i = 0; i < extents.size(); i++) {
      long start = subtreeStart + Extent.startBytes(extents.get(i));
      if (start > hole) {
        return start;
      }
    }
    return to;
  }

  private void ended(Request request, int errno) {
    Range range = request.range;
    boolean done = false;
    synchronized (this) {
      request.range = null;
      idle.add(request);
      if (range != null) {
        range.underWay--;
        range.errno = range.errno == 0 ? errno : range.errno;
        done = range.becomesDone();
      }
    }
    try {
      if (range != null && done) {
        range.done.complete(range.errno);
      }
    } finally {
      startRequests();
    }
  }
}
