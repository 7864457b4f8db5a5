package jpcache.backing;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** Counts the requests under way, so that closing can turn new ones away and wait for the rest. */
final class InFlight {
  private static final int CLOSED = Integer.MIN_VALUE;

  /** The requests under way, and the sign bit once closed. */
  private final AtomicInteger state = new AtomicInteger();

  private final CountDownLatch drained = new CountDownLatch(1);

  /** Whether the request may begin; if so it must {@link #leave}. */
  boolean enter() {
    int now = state.get();
    while (now >= 0) {
      int seen = state.compareAndExchange(now, now + 1);
      if (seen == now) {
        return true;
      }
      now = seen;
    }
    return false;
  }

  void leave() {
    if (state.decrementAndGet() == CLOSED) {
      drained.countDown();
    }
  }

  /**
   * Turns away what comes from now on and waits until all have left.
   *
   * @return whether this was the first call
   */
  boolean close() {
    int before = state.getAndUpdate(n -> n | CLOSED);
    if (before == 0) {
      drained.countDown();
    }
    boolean interrupted = false;
    while (true) {
      try {
        drained.await();
        break;
      } catch (InterruptedException e) {
        interrupted = true; // the kernel still has the requests' memory: there is no early way out
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return before >= 0;
  }
}
