package jpcache.backing;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A thread that does what it is given, in any order. What is thrown there ends neither the thread,
 * for which others may be waiting, nor goes unnoticed: it is told at once, and thrown at the end.
 */
final class AnyOrderThread implements AutoCloseable {
  private static final long LONGEST_ACTION_SECONDS = 60;

  private final List<Runnable> waiting = new ArrayList<>();
  private final String name;
  private final CountDownLatch ended = new CountDownLatch(1);
  private boolean closed;
  private @Nullable Throwable failure;
  private Consumer<Throwable> listener = thrown -> {};

  AnyOrderThread(String name) {
    this.name = name;
    var _ = Thread.ofPlatform().daemon().name(name).start(this::run);
  }

  /** From now on the first failure is told to this one, on this thread. */
  synchronized void onFailure(Consumer<Throwable> told) {
    listener = told;
  }

  synchronized void submit(Runnable action) {
    waiting.add(action);
    notifyAll();
  }

  private void run() {
    SplittableRandom order = new SplittableRandom();
    for (Runnable next = next(order); next != null; next = next(order)) {
      try {
        next.run();
      } catch (Throwable e) { // whatever it is, a test has to know
        failed(e);
      }
    }
    ended.countDown();
  }

  private synchronized @Nullable Runnable next(SplittableRandom order) {
    while (waiting.isEmpty()) {
      if (closed) {
        return null;
      }
      try {
        wait();
      } catch (InterruptedException e) {
        return null;
      }
    }
    return waiting.remove(order.nextInt(waiting.size()));
  }

  private void failed(Throwable thrown) {
    Consumer<Throwable> told;
    synchronized (this) {
      if (failure != null) {
        return;
      }
      failure = thrown;
      told = listener;
    }
    told.accept(thrown);
  }

  /** Does what it has been given, and ends. Throws AssertionError if something has failed. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    try {
      if (!ended.await(LONGEST_ACTION_SECONDS, TimeUnit.SECONDS)) {
        throw new AssertionError("the thread of the " + name + " is stuck");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    }
    synchronized (this) {
      if (failure != null) {
        throw new AssertionError("on the thread of the " + name, failure);
      }
    }
  }
}
