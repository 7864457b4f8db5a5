package jpcache.backing;

import org.jspecify.annotations.Nullable;

/**
 * Keeps neighbours' writes from losing each other.
 *
 * <p>A write that does not fill its first or last granule is made by reading the granule, changing
 * a part of it and writing it back. Whatever else is written to the granule between the two would
 * be undone. So such a <em>partial</em> write has its granules to itself: it waits for every write
 * before it that touches one of them, partial or not, and every write after it waits for it. Writes
 * of whole granules do not wait for each other.
 *
 * <p>Who comes first goes first, so nothing starves and no two wait for each other. No thread
 * waits: a range's {@code go} runs on the thread that freed its way (or the one that brought it).
 *
 * <p>While no partial write is under way, entering and leaving take constant time; otherwise each
 * looks at all writes under way. Neither needs memory, for want of which others would wait for
 * ever.
 */
final class WriteOrder {
  /** A write, from its first granule to its last. */
  static final class Range {
    private final long fromBytes;
    private final long toBytes;
    private final boolean partial;
    private final Runnable go;

    // Guarded by the order's monitor.

    /** How many ranges ahead of this one are in its way. */
    private int inTheWay;

    private @Nullable Range before;
    private @Nullable Range behind;

    /** Which one begins after this, of those that the same one was the last in the way of. */
    private @Nullable Range freedNext;

    /**
     * A write that has not entered yet.
     *
     * @param go begins it
     */
    Range(long fromBytes, long toBytes, boolean partial, Runnable go) {
      this.fromBytes = fromBytes;
      this.toBytes = toBytes;
      this.partial = partial;
      this.go = go;
    }

    private boolean excludes(Range other) {
      return (partial || other.partial) && fromBytes < other.toBytes && other.fromBytes < toBytes;
    }
  }

  // Under way or waiting, in the order they came. The order's monitor guards all state.
  private @Nullable Range first;
  private @Nullable Range last;

  private int partialRanges;

  /** Lets the write begin when nothing is in its way: now, or when the last of it leaves. */
  void enter(Range range) {
    boolean free;
    synchronized (this) {
      if (range.partial || partialRanges > 0) {
        for (Range earlier = first; earlier != null; earlier = earlier.behind) {
          range.inTheWay += earlier.excludes(range) ? 1 : 0;
        }
      }
      free = range.inTheWay == 0;
      add(range);
      partialRanges += range.partial ? 1 : 0;
    }
    if (free) {
      range.go.run();
    }
  }

  /** The write has ended: those that waited for nothing else begin. */
  void leave(Range range) {
    Range freed = null;
    synchronized (this) {
      remove(range);
      partialRanges -= range.partial ? 1 : 0;
      if (range.partial || partialRanges > 0) {
        // What excludes this one and is still here came later: it ran only after all before it.
        for (Range later = last; later != null; later = later.before) {
          if (later.excludes(range) && --later.inTheWay == 0) {
            later.freedNext = freed;
            freed = later;
          }
        }
      }
    }
    while (freed != null) {
      Range next = freed.freedNext;
      freed.go.run();
      freed = next;
    }
  }

  private void add(Range range) {
    range.before = last;
    if (last == null) {
      first = range;
    } else {
      last.behind = range;
    }
    last = range;
  }

  private void remove(Range range) {
    if (range.before == null) {
      first = range.behind;
    } else {
      range.before.behind = range.behind;
    }
    if (range.behind == null) {
      last = range.before;
    } else {
      range.behind.before = range.before;
    }
  }
}
