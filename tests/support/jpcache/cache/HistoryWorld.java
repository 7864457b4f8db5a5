package jpcache.cache;

import java.util.function.Supplier;
import jpcache.base.Errno;

/** What the parts of a history ask of the whole. */
interface HistoryWorld {
  /** The engine that runs. */
  Cache cache();

  HistoryModel model();

  HistoryCounts counts();

  Durability durability();

  /**
   * Whether there are writes that go to the backing device at once, in some mode: they may end
   * later, and with the device's error.
   */
  boolean writesDirectly();

  /** Whether the engine is being stopped, and ends what waits. */
  boolean isStopping();

  /** Whether an answer reaches its client: it does not when the power is out. */
  boolean hears();

  /** Fails the history, whichever thread finds that the claim does not hold. */
  void require(boolean holds, Supplier<String> claim);

  default void require(boolean holds, String claim) {
    require(holds, () -> claim);
  }

  /** A write or a flush has ended with an error: it may have, also a moment after a fault. */
  default void requireFailure(int errno, String what) {
    counts().failed();
    require(
        (errno == Errno.ESHUTDOWN && isStopping()) || (errno == Errno.EIO && writesDirectly()),
        () -> "a " + what + " failed with " + errno);
  }
}
