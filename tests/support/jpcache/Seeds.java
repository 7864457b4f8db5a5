package jpcache;

import java.util.Random;

/** Seeds of randomised tests: new in every run, printed, and settable to repeat a failure. */
public final class Seeds {
  private Seeds() {}

  /** The seed of this run for a test: {@code -Djpcache.seed=N}, or a new one. */
  public static long next(Class<?> test) {
    Long fixed = Long.getLong("jpcache.seed");
    long seed = fixed != null ? fixed : new Random().nextLong();
    System.out.println(
        test.getSimpleName() + ": seed " + seed + " (repeat with -Djpcache.seed=" + seed + ")");
    return seed;
  }
}
