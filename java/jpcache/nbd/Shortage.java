package jpcache.nbd;

import java.util.concurrent.TimeUnit;

/**
 * Whether something has run out without which no connection can be accepted, so that its begin is
 * told, and its end, and not each of the tries between them. It lasts until it has not been met for
 * a second: what one connection gives back the next one takes.
 *
 * <p>Used by one thread.
 */
final class Shortage {
  static final long QUIET_NANOS = TimeUnit.SECONDS.toNanos(1);

  private boolean lasts;
  private long metNanos;

  /** A try has failed; whether that is the first one. */
  boolean begins(long nowNanos) {
    boolean first = !lasts || nowNanos - metNanos >= QUIET_NANOS;
    lasts = true;
    metNanos = nowNanos;
    return first;
  }

  /** A try has succeeded; whether the shortage ends with it. */
  boolean isOver(long nowNanos) {
    boolean ends = lasts && nowNanos - metNanos >= QUIET_NANOS;
    lasts &= !ends;
    return ends;
  }
}
