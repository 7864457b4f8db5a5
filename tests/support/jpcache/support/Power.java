package jpcache.support;

/**
 * The power supply of simulated devices: they ask it before each thing that happens to them, and at
 * a point that the test chooses it is gone, for all of them at once.
 *
 * <p>Persistent memory then throws {@link Cut} at whoever uses it, which nothing in jpcache
 * catches; a backing device answers EIO, since its callers count on an answer. Any thread.
 */
public final class Power {
  /** The power is gone: nobody runs any more. */
  public static final class Cut extends Error {
    Cut() {
      super("power cut");
    }
  }

  private long left = Long.MAX_VALUE;
  private long points;
  private boolean out;

  /** The power is on, and goes before the event that comes after so many others. */
  public synchronized void cutAfter(long events) {
    left = events;
    out = false;
  }

  /** The power is on, and stays. */
  public void stay() {
    cutAfter(Long.MAX_VALUE);
  }

  public synchronized boolean isOut() {
    return out;
  }

  /** How many events there have been. */
  public synchronized long points() {
    return points;
  }

  /**
   * Nothing more happens to whoever runs without power.
   *
   * @throws Cut if it is out
   */
  public void check() {
    if (isOut()) {
      throw new Cut();
    }
  }

  /** An event is about to happen. Returns false if the power has gone before it. */
  public synchronized boolean lasts() {
    if (left == 0) {
      out = true;
    } else if (!out) {
      left--;
      points++;
    }
    return !out;
  }

  /**
   * An event is about to happen.
   *
   * @throws Cut if the power has gone before it
   */
  public void require() {
    if (!lasts()) {
      throw new Cut();
    }
  }
}
