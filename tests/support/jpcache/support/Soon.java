package jpcache.support;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Judges what must be over soon, on machines that may stand still for seconds. */
public final class Soon {
  private static final int ATTEMPTS = 3;

  private Soon() {}

  /**
   * Fails if each of three attempts takes longer. A machine that stands still lengthens one; a
   * program that waits for a timeout is late in all of them.
   *
   * @param attempt begins anew each time; returns how long the part that matters took
   */
  public static void within(long limitMs, Callable<Long> attempt) throws Exception {
    StringBuilder took = new StringBuilder();
    for (int i = 0; i < ATTEMPTS; i++) {
      long ms = TimeUnit.NANOSECONDS.toMillis(attempt.call());
      if (ms < limitMs) {
        return;
      }
      took.append(' ').append(ms);
    }
    fail("not within " + limitMs + " ms, but after" + took);
  }
}
