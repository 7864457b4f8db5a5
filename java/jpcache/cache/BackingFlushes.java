package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import jpcache.backing.BackingDevice;
import jpcache.base.Completion;

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
  private final BackingDevice backing;

  private List<Completion> running = List.of();
  private List<Completion> waiting = new ArrayList<>();
  private boolean busy;

  /** Whether a direct write has completed that no flush has begun for, or only one that failed. */
  private volatile boolean due;

  /** Whether the flush under way is for direct writes, among others. */
  private volatile boolean vouching;

  /** The error of a flush that lost direct writes, and that no client has been told of. */
  private int untoldErrno;

  private boolean clientWaits;
  private long begun;
  private long ended;

  /** Flushes that failed, and numbers that were given to none: first to last. */
  private final TreeMap<Long, Long> bad = new TreeMap<>();

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
    return begun + 1;
  }

  /** Whether there are direct writes that no flush has begun for. */
  boolean isDue() {
    return due;
  }

  /** Whether there are direct writes that no flush has vouched for yet. */
  synchronized boolean isNeeded() {
    return due || vouching || untoldErrno != 0;
  }

  /** Whether a flush has ended well. */
  synchronized boolean isGood(long number) {
    return number <= ended && !isBad(number);
  }

  /** Whether no flush of this number will ever end well. */
  synchronized boolean isBad(long number) {
    Map.Entry<Long, Long> range = bad.floorEntry(number);
    return range != null && number <= range.getValue();
  }

  /**
   * As {@link #flush}, for a client: it is also told of a flush that failed for others before,
   * which may have lost what it wrote.
   */
  void flushForClient(Completion done) {
    synchronized (this) {
      clientWaits = true;
    }
    flush(errno -> done.complete(errno != 0 ? errno : takeUntold()));
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
    synchronized (this) {
      waiting.add(done);
      if (busy) {
        return;
      }
      begin();
    }
    backing.flush(this::ended);
  }

  private void begin() {
    running = waiting;
    waiting = new ArrayList<>();
    busy = true;
    vouching = due;
    due = false;
    begun++;
  }

  private void ended(int errno) {
    List<Completion> told;
    boolean next;
    synchronized (this) {
      told = running;
      if (errno != 0) {
        failures++;
        told.addAll(waiting);
        waiting.clear();
        addBad(begun, begun + 1);
        begun++;
        due |= vouching;
        if (vouching && !clientWaits) {
          untoldErrno = errno;
        }
        clientWaits = false; // all that wait are told
      } else {
        unvouched = false;
      }
      vouching = false;
      ended = begun;
      next = !waiting.isEmpty();
      clientWaits &= next;
      busy = next;
      if (next) {
        begin();
      }
    }
    if (next) {
      backing.flush(this::ended);
    }
    for (Completion done : told) {
      done.complete(errno);
    }
  }

  private void addBad(long first, long last) {
    Map.Entry<Long, Long> before = bad.floorEntry(first);
    boolean adjoins = before != null && before.getValue() >= first - 1;
    bad.put(adjoins ? before.getKey() : first, last);
  }
}
