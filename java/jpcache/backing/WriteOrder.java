package jpcache.backing;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

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
 * looks at all writes under way.
 */
final class WriteOrder {
  /** A write, from its first granule to its last. */
  static final class Range {
    private final long fromBytes;
    private final long toBytes;
    private final boolean partial;
    private final Runnable go;

    /** How many ranges ahead of this one are in its way; guarded by the order's monitor. */
    private int inTheWay;

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

  /** Under way or waiting, in the order they came. Its monitor guards all state. */
  private final Set<Range> ranges = new LinkedHashSet<>();

  private int partialRanges;

  /** Lets the write begin when nothing is in its way: now, or when the last of it leaves. */
  void enter(Range range) {
    boolean free;
    synchronized (ranges) {
      if (range.partial || partialRanges > 0) {
        for (Range earlier : ranges) {
          range.inTheWay += earlier.excludes(range) ? 1 : 0;
        }
      }
      free = range.inTheWay == 0;
      ranges.add(range);
      partialRanges += range.partial ? 1 : 0;
    }
    if (free) {
      range.go.run();
    }
  }

  /** The write has ended: those that waited for nothing else begin. */
  void leave(Range range) {
    List<Range> freed = List.of();
    synchronized (ranges) {
      ranges.remove(range);
      partialRanges -= range.partial ? 1 : 0;
      if (range.partial || partialRanges > 0) {
        freed = new ArrayList<>();
        // What excludes this one and is still here came later: it ran only after all before it.
        for (Range later : ranges) {
          if (later.excludes(range) && --later.inTheWay == 0) {
            freed.add(later);
          }
        }
      }
    }
    for (Range next : freed) {
      next.go.run();
    }
  }
}
