package jpcache.cache;

import java.util.Map;
import java.util.TreeMap;
import jpcache.backing.BackingDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * The flushes of the backing device, one at a time and counted, so that it can be said of a write
 * which flush vouches for it, and whether that did.
 *
 * <p>A flush that fails may have lost any write that completed before it ended, and the next one
 * would succeed over the loss. So whoever waits for the next is told of the failure as well, and
 * the number of that next flush is given to none: {@link #isGood} is false of both for good.
 *
 * <p>Any thread; completions are called with no lock held.
 */
final class BackingFlushes {
  /** Who waits for a flush, in a list that needs no memory of its own. */
  private static final class Waiter {
    private final Completion done;
    private final boolean client;

    /** Who came before. */
    private @Nullable Waiter next;

    private Waiter(Completion done, boolean client) {
      this.done = done;
      this.client = client;
    }
  }

  private final BackingDevice backing;
  private final Completion ended = this::ended;

  /** Those that the flush under way is for, the last one first. */
  private @Nullable Waiter running;

  /** Those that the next one is for. */
  private @Nullable Waiter waiting;

  private boolean busy;

  /** Whether a direct write has completed that no flush has begun for, or only one that failed. */
  private volatile boolean due;

  /** Whether the flush under way is for direct writes, among others. */
  private volatile boolean vouching;

  /** The error of a flush that lost direct writes, and that no client has been told of. */
  private int untoldErrno;

  private long begunCount;
  private long endedCount;

  /** Flushes that failed, and numbers that were given to none: first to last. */
  private final TreeMap<Long, Long> bad = new TreeMap<>();

  /** There was no memory to remember one of them, so all numbers count as bad. */
  private boolean allBad;

  private volatile long failures;

  /** Whether the device may hold writes of before that nothing vouches for. */
  private volatile boolean unvouched;

  /**
   * None so far.
   *
   * @param unvouched whether another process may have left writes that are not flushed
   */
  BackingFlushes(BackingDevice backing, boolean unvouched) {
    this.backing = backing;
    this.unvouched = unvouched;
    due = unvouched;
  }

  /** Whether the device may hold writes of another process that no flush has vouched for. */
  boolean isUnvouched() {
    return unvouched;
  }

  /** How many flushes have failed; goes up before anybody is told, and before the next begins. */
  long failures() {
    return failures;
  }

  /** A direct write has completed; returns the number of the flush that will vouch for it. */
  synchronized long written() {
    due = true;
    return begunCount + 1;
  }

  /** Whether there are direct writes that no flush has begun for. */
  boolean isDue() {
    return due;
  }

  /** Whether there are direct writes that no flush has vouched for yet. */
  synchronized boolean isNeeded() {
    return due || vouching || untoldErrno != 0;
  }

  /** Whether all direct writes that have completed are vouched for by flushes that succeeded. */
  synchronized boolean areAllVouchedFor() {
    return !due && !vouching;
  }

  /** Whether a flush has ended well. */
  synchronized boolean isGood(long number) {
    return number <= endedCount && !isBad(number);
  }

  /** Whether no flush of this number will ever end well. */
  synchronized boolean isBad(long number) {
    Map.Entry<Long, Long> range = bad.floorEntry(number);
    return allBad || (range != null && number <= range.getValue());
  }

  /**
   * As {@link #flush}, for a client: it is also told of a flush that failed for others before,
   * which may have lost what it wrote.
   */
  void flushForClient(Completion done) {
    join(done, true);
  }

  private synchronized int takeUntold() {
    int errno = untoldErrno;
    untoldErrno = 0;
    return errno;
  }

  /** Whether one is under way. */
  synchronized boolean isBusy() {
    return busy;
  }

  /** Whatever had completed before this call is durable when {@code done} is called with 0. */
  void flush(Completion done) {
    join(done, false);
  }

  private void join(Completion done, boolean client) {
    Waiter waiter;
    try {
      waiter = new Waiter(done, client);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    synchronized (this) {
      waiter.next = waiting;
      waiting = waiter;
      if (busy) {
        return;
      }
      begin();
    }
    backing.flush(ended);
  }

  private void begin() {
    running = waiting;
    waiting = null;
    busy = true;
    vouching = due;
    due = false;
    begunCount++;
  }

  private void ended(int errno) {
    Waiter told;
    Waiter toldToo = null;
    boolean next;
    synchronized (this) {
      told = running;
      if (errno != 0) {
        failures++;
        toldToo = waiting;
        waiting = null;
        addBad(begunCount, begunCount + 1);
        begunCount++;
        due |= vouching;
        if (vouching && !hasClient(told) && !hasClient(toldToo)) {
          untoldErrno = errno;
        }
      } else {
        unvouched = false;
      }
      vouching = false;
      endedCount = begunCount;
      next = waiting != null;
      busy = next;
      if (next) {
        begin();
      }
    }
    if (next) {
      backing.flush(ended);
    }
    try {
      tell(told, errno);
    } finally {
      tell(toldToo, errno);
    }
  }

  private static boolean hasClient(@Nullable Waiter first) {
    Waiter waiter = first;
    while (waiter != null && !waiter.client) {
      waiter = waiter.next;
    }
    return waiter != null;
  }

  /** Tells them all, also those behind one that throws. */
  private void tell(@Nullable Waiter first, int errno) {
    Waiter next = first;
    try {
      while (next != null) {
        Waiter waiter = next;
        next = waiter.next;
        waiter.done.complete(errno == 0 && waiter.client ? takeUntold() : errno);
      }
    } finally {
      if (next != null) {
        tell(next, errno);
      }
    }
  }

  private void addBad(long first, long last) {
    try {
      Map.Entry<Long, Long> before = bad.floorEntry(first);
      boolean adjoins = before != null && before.getValue() >= first - 1;
      bad.put(adjoins ? before.getKey() : first, last);
    } catch (OutOfMemoryError e) {
      allBad = true;
    }
  }
}
