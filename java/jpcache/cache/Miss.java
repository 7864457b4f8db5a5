package jpcache.cache;

import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Completion;

/**
 * A read that waits for the backing device: completes when its last part has, with the first error
 * that any of them met.
 *
 * <p>The cached share is a part too, so that the read cannot complete before all parts are known.
 */
final class Miss implements Completion {
  private final Completion done;
  private final AtomicInteger parts = new AtomicInteger(1);
  private final AtomicInteger firstErrno = new AtomicInteger();

  Miss(Completion done) {
    this.done = done;
  }

  void addPart() {
    parts.incrementAndGet();
  }

  @Override
  public void complete(int errno) {
    if (errno != 0) {
      firstErrno.compareAndSet(0, errno);
    }
    if (parts.decrementAndGet() == 0) {
      done.complete(firstErrno.get());
    }
  }
}
