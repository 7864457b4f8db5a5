package jpcache.metrics;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/**
 * Counts of events, one for each constant of an enum.
 *
 * <p>Each thread that counts has a {@link Stripe} of its own: an add is a load and a store to
 * memory that no other thread writes, with no locked instruction and no allocation. {@link #sum}
 * adds the stripes up, and what stripes counted that have been closed. It sees every add of a
 * closed stripe, and of an open one all but the latest; it never goes down.
 *
 * @param <E> what is counted
 */
@SuppressWarnings(
    "EnumOrdinal") // as an index of this process alone; an EnumMap would box each count
public final class Counters<E extends Enum<E>> {
  private final List<Stripe<E>> open = new ArrayList<>();
  private final long[] closed;

  public Counters(Class<E> events) {
    closed = new long[events.getEnumConstants().length];
  }

  /** A stripe for one thread at a time. */
  public synchronized Stripe<E> open() {
    Stripe<E> stripe = new Stripe<>(this, closed.length);
    open.add(stripe);
    return stripe;
  }

  /** How often, or how much, so far. */
  public synchronized long sum(E event) {
    long sum = closed[event.ordinal()];
    for (Stripe<E> stripe : open) {
      sum += stripe.get(event.ordinal());
    }
    return sum;
  }

  private synchronized void fold(Stripe<E> stripe) {
    if (open.remove(stripe)) {
      for (int event = 0; event < closed.length; event++) {
        closed[event] += stripe.get(event);
      }
    }
  }

  /** One thread's part of the counts. */
  public static final class Stripe<E extends Enum<E>> implements AutoCloseable {
    private static final VarHandle CELL = MethodHandles.arrayElementVarHandle(long[].class);

    /** Two cache lines on either side: the prefetcher takes lines in pairs. */
    private static final int PADDING = 16;

    private final Counters<E> all;
    private final long[] cells;

    private Stripe(Counters<E> all, int events) {
      this.all = all;
      cells = new long[PADDING + events + PADDING];
    }

    /** Only from the thread that owns the stripe. */
    public void add(E event, long n) {
      int cell = PADDING + event.ordinal();
      // Opaque: whole for the thread that sums, and in time; a plain store otherwise.
      CELL.setOpaque(cells, cell, cells[cell] + n);
    }

    private long get(int event) {
      return (long) CELL.getOpaque(cells, PADDING + event);
    }

    /** Keeps what was counted; nothing may be added any more. */
    @Override
    public void close() {
      all.fold(this);
    }
  }
}
