package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import jpcache.base.Completion;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import org.jspecify.annotations.Nullable;

/**
 * The backing reads that are under way, by subtree; and how what they bring enters the cache, as
 * clean keys.
 *
 * <p>All that relates a fill to its subtree (that the bytes are a hole, that a write has overtaken
 * it, that it enters) happens under the subtree's lock. The lists have locks of their own, taken
 * after the subtree's, since several subtrees share one; a list that is empty costs a writer one
 * read.
 *
 * <p>Filling is a favour, not a duty: a cache that needs room serves misses uncached, and so it
 * does large reads and long sequential ones ({@link SequentialReads}), which would wash out what is
 * worth keeping.
 */
final class Fills {
  private static final int LISTS = 1024;
  private static final int MAX_FILL_BYTES = 1 << 20;

  /**
   * A range that goes to the backing device past the cache: what is read there meanwhile may be the
   * old data, and until a flush has vouched for the new, a power cut may bring the old back. Either
   * way a clean key made of it would be wrong.
   *
   * <p>Guarded by its list.
   */
  static final class Unsettled {
    private static final long UNDER_WAY = Long.MAX_VALUE;

    private final long from;
    private final long to;
    private volatile long vouchedBy = UNDER_WAY;

    private Unsettled(long from, long to) {
      this.from = from;
      this.to = to;
    }

    /** The device has answered; the flush of this number will settle it. */
    void written(long flush) {
      vouchedBy = flush;
    }
  }

  private static final class FillList {
    private final List<Fill> fills = new ArrayList<>(2);
    private volatile int size;
    private final List<Unsettled> unsettled = new ArrayList<>(0);

    /** A flush has failed: nobody knows what the device keeps. Nothing is filled any more here. */
    private boolean doubtful;
  }

  private final Cache cache;
  private final FillList[] lists = new FillList[LISTS];
  private final ConcurrentLinkedQueue<CleanWriter> writers = new ConcurrentLinkedQueue<>();

  Fills(Cache cache) {
    this.cache = cache;
    for (int i = 0; i < LISTS; i++) {
      lists[i] = new FillList();
    }
  }

  private FillList list(long offsetBytes) {
    return lists[(int) (offsetBytes >>> ExtentMap.SUBTREE_SHIFT) & (LISTS - 1)];
  }

  /**
   * Registers a read of a hole, or lets it join one that is under way. Called with the subtree's
   * lock held, by whoever has found the hole under that lock.
   *
   * @param cacheable whether what it brings may enter the cache
   * @return the fill that the caller must now read, or null if it has joined another
   */
  @Nullable Fill begin(
      long offsetBytes, int lengthBytes, long address, boolean cacheable, Completion done) {
    FillList list = list(offsetBytes);
    synchronized (list) {
      for (Fill fill : list.fills) {
        if (!fill.overtaken() && fill.covers(offsetBytes, offsetBytes + lengthBytes)) {
          fill.join(offsetBytes, lengthBytes, address, done);
          return null;
        }
      }
      Fill fill = new Fill(this, offsetBytes, lengthBytes, address, cacheable, done);
      if (isUnsettled(list, offsetBytes, offsetBytes + lengthBytes)) {
        fill.overtake(offsetBytes, offsetBytes + lengthBytes);
      }
      list.fills.add(fill);
      list.size = list.fills.size();
      return fill;
    }
  }

  private boolean isUnsettled(FillList list, long from, long to) {
    forgetSettled(list);
    for (Unsettled range : list.unsettled) {
      if (range.from < to && from < range.to) {
        return true;
      }
    }
    return list.doubtful || cache.directWrites().flushes().isUnvouched();
  }

  private void forgetSettled(FillList list) {
    if (!list.unsettled.isEmpty()) {
      BackingFlushes flushes = cache.directWrites().flushes();
      list.unsettled.removeIf(range -> {
        list.doubtful |= flushes.isBad(range.vouchedBy);
        return flushes.isGood(range.vouchedBy) || flushes.isBad(range.vouchedBy);
      });
    }
  }

  /**
   * Keeps fills out of a part of a subtree that is about to be written past the cache, those under
   * way and those to come, until that is settled. Called with the subtree's lock held.
   */
  Unsettled keepAway(long from, long to) {
    Unsettled range = new Unsettled(from, to);
    overtake(from, (int) (to - from));
    FillList list = list(from);
    synchronized (list) {
      forgetSettled(list);
      list.unsettled.add(range);
    }
    return range;
  }

  /** A write has entered its subtree. Called with the subtree's lock held. */
  void overtake(long offsetBytes, int lengthBytes) {
    FillList list = list(offsetBytes);
    if (list.size > 0) {
      synchronized (list) {
        for (Fill fill : list.fills) {
          fill.overtake(offsetBytes, offsetBytes + lengthBytes);
        }
      }
    }
  }

  /**
   * A fill's data has come, or has not: it is no longer under way when this returns, or throws. The
   * latter means that it does not enter the cache, or not all of it.
   */
  void ended(Fill fill, int errno) {
    CleanWriter writer = null;
    try {
      if (errno == 0
          && fill.cacheable
          && fill.lengthBytes <= MAX_FILL_BYTES
          && cache.fillsMisses()) {
        writer = copy(fill);
      }
    } finally {
      finish(fill, writer);
    }
  }

  /** Copies a fill's data to where it will be cached; null if there is no room. */
  private @Nullable CleanWriter copy(Fill fill) {
    CleanWriter idle = writers.poll();
    CleanWriter writer = idle != null ? idle : new CleanWriter();
    boolean copied = false;
    try {
      copied = writer.copy(fill);
    } finally {
      if (!copied) {
        writer.queue.abandon();
        writers.add(writer);
      }
    }
    return copied ? writer : null;
  }

  private void finish(Fill fill, @Nullable CleanWriter writer) {
    Subtree subtree = cache.map().subtree(fill.offsetBytes);
    synchronized (subtree) {
      FillList list = list(fill.offsetBytes);
      synchronized (list) {
        list.fills.remove(fill);
        list.size = list.fills.size();
      }
      if (writer != null) {
        try {
          writer.finish(subtree, fill);
        } finally {
          writers.add(writer);
        }
      }
    }
    if (writer != null) {
      cache.roomMayHaveCome();
    }
  }

  /** Puts the data of a fill into persistent memory and its keys into tree and log. */
  private final class CleanWriter {
    private final CacheQueue queue = new CacheQueue(cache, 0);

    /** Copies the data; false if there is no room. */
    boolean copy(Fill fill) {
      if (!queue.stage(fill.offsetBytes, fill.lengthBytes, fill.address, false, errno -> {})) {
        return false;
      }
      cache.region().drain();
      return true;
    }

    /** The fill enters the cache, unless it was overtaken. */
    void finish(Subtree subtree, Fill fill) {
      if (fill.overtaken()) {
        queue.abandon();
      } else {
        queue.insertClean(subtree);
      }
    }
  }
}
