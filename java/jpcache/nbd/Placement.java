package jpcache.nbd;

/**
 * Decides whether a connection's thread runs on its client's processor or wherever it likes.
 *
 * <p>A client that waits for each answer before it sends its next request never runs at the same
 * time as the thread that answers. Apart, each of the two finds the other's processor asleep, or
 * has it spin ({@link BusyPolling}). On one processor the kernel switches from one to the other,
 * and nothing has to be woken: on virtual machines, where that is dear, half of the time of a round
 * trip. It also costs half the CPU time. But only the client's kernel and its neighbours can tell
 * whether that is so: so it is tried, measured against what was before, and kept while it is no
 * slower.
 *
 * <p>Time passes in windows of some hundred round trips. Used by the connection's thread alone.
 */
final class Placement {
  /** What the decision needs of the system. */
  interface Processors {
    /** From now on the client's threads are watched. */
    void watch();

    /**
     * Moves this thread to where the client runs; false if that cannot be found or done.
     *
     * @param roundTrips so many there have been since {@link #watch}
     */
    boolean moveToClient(int roundTrips);

    /** This thread may run anywhere again. */
    void moveAway();
  }

  private enum State {
    APART,
    /** A trial is due: the client is watched in this window. */
    WATCHING,
    /** The first window beside the client. */
    TRYING,
    BESIDE
  }

  static final int WINDOW_ROUND_TRIPS = 256;

  /** After a move so many do not count. */
  private static final int SETTLING_ROUND_TRIPS = 32;

  /** A client with longer round trips does not spend them on being woken. */
  private static final long MOST_NANOS = 100_000L;

  private static final long LEAST_PAUSE_NANOS = 100_000_000L;
  private static final long MOST_PAUSE_NANOS = 10_000_000_000L;

  /**
   * So long after a move the thread goes apart for a window, to see what that would cost by now.
   */
  private static final long REVIEW_NANOS = 1_000_000_000L;

  private final Processors processors;
  private State state = State.APART;
  private long pauseNanos = LEAST_PAUSE_NANOS;
  private long nextTrial = Long.MIN_VALUE;
  private long movedNanos;
  private long apartNanos = Long.MAX_VALUE;

  // The window.
  private int settling = 1;
  private long begunNanos;
  private int roundTrips;
  private int others;

  Placement(Processors processors) {
    this.processors = processors;
  }

  /** Whether the thread is beside the client: it sleeps at once, to let the client run. */
  boolean beside() {
    return state == State.TRYING || state == State.BESIDE;
  }

  /** So many requests that had arrived together have been answered. */
  void answered(int requests, long nowNanos) {
    if (settling > 0) {
      settling--;
      begunNanos = nowNanos;
      return;
    }
    roundTrips++;
    others += requests == 1 ? 0 : 1;
    long elapsed = nowNanos - begunNanos;
    boolean slow = elapsed > WINDOW_ROUND_TRIPS * MOST_NANOS;
    if (roundTrips == WINDOW_ROUND_TRIPS || slow) {
      boolean fits = !slow && others * 8 < roundTrips;
      endWindow(fits, elapsed / roundTrips, nowNanos);
      roundTrips = 0;
      others = 0;
      begunNanos = nowNanos;
    }
  }

  private void endWindow(boolean fits, long nanos, long nowNanos) {
    switch (state) {
      case APART -> {
        if (fits && nowNanos >= nextTrial) {
          processors.watch();
          state = State.WATCHING;
        }
      }
      case WATCHING -> {
        apartNanos = nanos;
        if (!fits) {
          state = State.APART;
        } else if (processors.moveToClient(roundTrips)) {
          state = State.TRYING;
          movedNanos = nowNanos;
          settling = SETTLING_ROUND_TRIPS;
        } else {
          failed(nowNanos);
        }
      }
      case TRYING, BESIDE -> {
        // To stay takes less than to come: neighbours and noise come and go.
        long most = state == State.TRYING ? apartNanos : apartNanos + apartNanos / 8;
        if (!fits || nanos > most) {
          processors.moveAway();
          failed(nowNanos);
        } else if (nowNanos - movedNanos > REVIEW_NANOS) {
          processors.moveAway();
          state = State.APART;
          nextTrial = nowNanos;
          settling = SETTLING_ROUND_TRIPS;
        } else {
          state = State.BESIDE;
          pauseNanos = LEAST_PAUSE_NANOS;
        }
      }
    }
  }

  private void failed(long nowNanos) {
    state = State.APART;
    nextTrial = nowNanos + pauseNanos;
    pauseNanos = Math.min(MOST_PAUSE_NANOS, 2 * pauseNanos);
    settling = SETTLING_ROUND_TRIPS;
  }
}
