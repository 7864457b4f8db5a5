package jpcache.cache;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * How many requests of one thread are under way, and no more than a device wants at once.
 *
 * <p>When there are that many, the thread sleeps until a quarter of them has ended: to be woken for
 * each would cost more than the request, and the rest keeps the device busy meanwhile.
 *
 * <p>{@link #leave} is for any thread, the rest for the one.
 */
final class Window {
  private final int most;
  private final AtomicInteger underWay = new AtomicInteger();

  /** Who sleeps until so many are under way; read by those who leave, after they have left. */
  private volatile @Nullable Thread sleeper;

  private volatile int sleepsUntil;

  Window(int most) {
    this.most = most;
  }

  /** Returns when there is room for a request. */
  void awaitPlace() {
    if (underWay.get() >= most) {
      awaitSome();
    }
  }

  /** A request begins, as soon as there is room for it. */
  void enter() {
    awaitPlace();
    underWay.incrementAndGet();
  }

  /** A request has ended. */
  void leave() {
    // Only the thread that sleeps enters: while it does, the count only falls, and equals this
    // once.
    if (underWay.decrementAndGet() == sleepsUntil) {
      LockSupport.unpark(sleeper);
    }
  }

  /** Sleeps until a quarter of what is under way has ended; returns false if nothing is. */
  boolean awaitSome() {
    int count = underWay.get();
    await(count - (count + 3) / 4);
    return count > 0;
  }

  /** Returns when nothing is under way. */
  void awaitAll() {
    await(0);
  }

  private void await(int count) {
    sleepsUntil = count;
    sleeper = Thread.currentThread();
    while (underWay.get() > count) {
      LockSupport.park(this);
    }
    sleeper = null;
  }
}
