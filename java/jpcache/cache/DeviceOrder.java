package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The order of writes to the backing device that overlap. A device promises none, and here it must
 * be that of the keys: otherwise the cache would hold one of two writes as clean and the device the
 * other.
 *
 * <p>A direct write takes its place when it is handed over and goes once nothing before it overlaps
 * it. Write-back goes ahead of direct writes that have not gone yet, since what it brings is older
 * than they are, and waits for those that have.
 *
 * <p>No direct write needs the maintenance thread once it has gone, so write-back, which waits on
 * that thread, always comes to its turn.
 *
 * <p>Any thread. The monitor is the innermost lock; nothing is called with it held. Every call
 * looks at all writes that are under way or about to be: tens or hundreds as a rule, and 131,072 at
 * most, where the 64 MiB that direct writes may take consist of single sectors. To leave needs no
 * memory, for want of which others would wait for ever.
 */
final class DeviceOrder {
  /** A write's place in the order. */
  static final class Turn {
    private final long fromBytes;
    private final long toBytes;
    private final Runnable go;
    private boolean asked;
    private boolean gone;

    /** Of some that go on the same thread, the one that goes behind this one. */
    private @Nullable Turn next;

    // Of the thread that runs go; others compare and see that they are not it.

    /** Who runs go; null before that and when it has returned. */
    private @Nullable Thread runner;

    /** The first of those that could go when this one left, if go had not returned by then. */
    private @Nullable Turn freed;

    private Turn(long fromBytes, long toBytes, Runnable go) {
      this.fromBytes = fromBytes;
      this.toBytes = toBytes;
      this.go = go;
    }

    private boolean overlaps(Turn other) {
      return fromBytes < other.toBytes && other.fromBytes < toBytes;
    }
  }

  /** Those that have not left, in the order in which they came. */
  private final List<Turn> turns = new ArrayList<>();

  /**
   * Takes a place behind all that are there.
   *
   * @param go begins the write; runs on the thread that makes way for it
   */
  synchronized Turn enter(long offsetBytes, int lengthBytes, Runnable go) {
    Turn turn = new Turn(offsetBytes, offsetBytes + lengthBytes, go);
    turns.add(turn);
    return turn;
  }

  /** Whether another write that has not left overlaps this one. */
  synchronized boolean isShared(Turn turn) {
    for (Turn other : turns) {
      if (other != turn && other.overlaps(turn)) {
        return true;
      }
    }
    return false;
  }

  /** Lets a write go when nothing is in its way: now, or when the last of that leaves. */
  void go(Turn turn) {
    synchronized (this) {
      turn.asked = true;
      if (!isFree(turn)) {
        return;
      }
      turn.gone = true;
    }
    run(turn);
  }

  /** Takes a turn for write-back; waits for what has gone and overlaps. */
  synchronized Turn takeForWriteBack(long offsetBytes, long lengthBytes) {
    Turn turn = new Turn(offsetBytes, offsetBytes + lengthBytes, () -> {});
    boolean interrupted = false;
    while (isMet(turn)) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    turn.gone = true;
    turns.add(turn);
    return turn;
  }

  private boolean isMet(Turn turn) {
    for (Turn other : turns) {
      if (other.gone && other.overlaps(turn)) {
        return true;
      }
    }
    return false;
  }

  private boolean isFree(Turn turn) {
    boolean before = true;
    for (int i = 0; i < turns.size(); i++) {
      Turn other = turns.get(i);
      if (other == turn) {
        before = false;
      } else if ((before || other.gone) && other.overlaps(turn)) {
        return false;
      }
    }
    return true;
  }

  /** The write has ended, or will not be made: those that only waited for it go. */
  void leave(Turn turn) {
    Turn freed = null;
    synchronized (this) {
      turns.remove(turn);
      for (int i = 0; i < turns.size(); i++) {
        Turn other = turns.get(i);
        if (other.asked && !other.gone && other.overlaps(turn) && isFree(other)) {
          other.gone = true;
          other.next = freed;
          freed = other;
        }
      }
      notifyAll();
    }
    if (turn.runner == Thread.currentThread()) {
      turn.freed = freed;
    } else {
      run(freed);
    }
  }

  /**
   * Lets one write after the other go, also behind one that throws. Those that wait for a write
   * which ends while it goes (as each does when the log can be stored no more) go behind it and not
   * inside it, where as many calls would be on the stack as writes wait.
   */
  private static void run(@Nullable Turn first) {
    Turn next = first;
    try {
      while (next != null) {
        Turn turn = next;
        next = turn.next;
        turn.runner = Thread.currentThread();
        try {
          turn.go.run();
        } finally {
          turn.runner = null;
          next = withFreed(turn, next);
        }
      }
    } finally {
      if (next != null) {
        run(next);
      }
    }
  }

  private static @Nullable Turn withFreed(Turn turn, @Nullable Turn others) {
    Turn all = others;
    Turn next = turn.freed;
    while (next != null) {
      Turn freed = next;
      next = freed.next;
      freed.next = all;
      all = freed;
    }
    turn.freed = null;
    return all;
  }
}
