package jpcache.backing;

import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Completion;

/** Completes one request when all of its parts have, with an errno of one that failed. */
final class Join implements Completion {
  private final Completion done;
  private final AtomicInteger missing;
  private final AtomicInteger failure = new AtomicInteger();

  Join(int parts, Completion done) {
    this.done = done;
    this.missing = new AtomicInteger(parts);
  }

  @Override
  public void complete(int errno) {
    failure.compareAndSet(0, errno);
    if (missing.decrementAndGet() == 0) {
      done.complete(failure.get());
    }
  }
}
