package jpcache.nbd;

/**
 * Decides whether a connection's thread lets requests gather for a moment before it looks for them
 * again, as network cards do before they interrupt.
 *
 * <p>A client that sends one request after the other, with many under way, is disturbed by a server
 * that answers each at once: the two take turns at the socket's locks and wake each other all the
 * time. When the server looks only every {@link #NAP_MICROS}, both do more in one go. But a client
 * that has few requests under way waits for them meanwhile. Which of the two it is only shows when
 * it is tried: so naps are tried for a window of requests, and kept if the client sends more in the
 * same time. It has to be more, so that a client that sends at a rate of its own is left alone.
 *
 * <p>Used by the connection's thread alone.
 */
final class Moderation {
  /** Half of the gain comes with 10, none with more; the longest that an answer is delayed. */
  static final int NAP_MICROS = 20;

  static final int WINDOW_REQUESTS = 1024;

  /** A window that takes longer is that of a client in no hurry. */
  private static final long MOST_WINDOW_NANOS = 20_000_000L;

  /** A nap has to pay: by less, it may be chance. */
  private static final double WORTH = 0.95;

  private static final long LEAST_PAUSE_NANOS = 100_000_000L;
  private static final long MOST_PAUSE_NANOS = 10_000_000_000L;

  /** So long after a trial that paid there is another: things change. */
  private static final long REVIEW_NANOS = 1_000_000_000L;

  private enum State {
    OFF,
    /** Naps, in the window that decides. */
    TRYING,
    ON
  }

  private State state = State.OFF;
  private long pauseNanos = LEAST_PAUSE_NANOS;
  private long nextTrial;
  private boolean began;
  private double nanosWithout;

  // The window.
  private long startNanos;
  private int requests;
  private int batches;

  /**
   * A batch of requests has been answered.
   *
   * @return whether to nap before looking for more
   */
  boolean answered(int count, long nowNanos) {
    if (!began) {
      began = true;
      nextTrial = nowNanos;
      startNanos = nowNanos;
      return false;
    }
    requests += count;
    batches++;
    long elapsed = nowNanos - startNanos;
    if (requests >= WINDOW_REQUESTS || elapsed > MOST_WINDOW_NANOS) {
      boolean hurries = elapsed <= MOST_WINDOW_NANOS && requests > batches + batches / 4;
      endWindow(hurries, (double) elapsed / requests, nowNanos);
      startNanos = nowNanos;
      requests = 0;
      batches = 0;
    }
    return state != State.OFF;
  }

  private void endWindow(boolean hurries, double nanosEach, long nowNanos) {
    switch (state) {
      case OFF -> {
        if (hurries && nowNanos - nextTrial >= 0) {
          nanosWithout = nanosEach;
          state = State.TRYING;
        }
      }
      case TRYING -> {
        if (hurries && nanosEach < WORTH * nanosWithout) {
          state = State.ON;
          nextTrial = nowNanos + REVIEW_NANOS;
          pauseNanos = LEAST_PAUSE_NANOS;
        } else {
          state = State.OFF;
          nextTrial = nowNanos + pauseNanos;
          pauseNanos = Math.min(MOST_PAUSE_NANOS, 2 * pauseNanos);
        }
      }
      case ON -> {
        if (!hurries || nowNanos - nextTrial >= 0) {
          state = State.OFF; // for a window at least
        }
      }
    }
  }
}
