package jpcache.history;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What was done to one register, and whether it is linearizable: whether every operation can be
 * given one moment between its invocation and its response so that every read finds the write
 * before it.
 *
 * <p>No two writes may bring the same value. Then a read says which write it saw, and the question
 * is decided in O(n log n): a write and its reads are a cluster; it holds the register at least
 * from the earliest response to the latest invocation in it, a <em>forward</em> zone, or, where all
 * of it overlaps, for a moment somewhere from the latest invocation to the earliest response, a
 * <em>backward</em> zone. The history is linearizable if and only if no read came before its write,
 * no two forward zones overlap, and no backward zone lies inside a forward one (Gibbons and Korach,
 * "Testing shared memories", 1997).
 *
 * <p>Times are ticks of one counter, no two alike. Used by one thread.
 */
public final class Register {
  /** The value that a register has before the first write. */
  public static final long INITIAL = 0;

  /** The response of a write that was never answered: it may have happened, then or later. */
  public static final long NEVER = Long.MAX_VALUE;

  private static final class Cluster {
    final long value;
    long written = NEVER;
    long earliestRead = NEVER;
    long earliestResponse = NEVER;
    long latestInvocation = Long.MIN_VALUE;
    boolean isRead;

    Cluster(long value) {
      this.value = value;
    }

    void add(long invoked, long answered) {
      earliestResponse = Math.min(earliestResponse, answered);
      latestInvocation = Math.max(latestInvocation, invoked);
    }

    boolean isForward() {
      return earliestResponse < latestInvocation;
    }
  }

  private final Map<Long, Cluster> clusters = new HashMap<>();

  public Register() {
    write(INITIAL, Long.MIN_VALUE, Long.MIN_VALUE + 1);
  }

  /** A write of a value that no other write has. */
  public void write(long value, long invoked, long answered) {
    Cluster cluster = cluster(value);
    if (cluster.written != NEVER) {
      throw new IllegalArgumentException("two writes of " + value);
    }
    cluster.written = invoked;
    cluster.add(invoked, answered);
  }

  /** A read that found a value. */
  public void read(long value, long invoked, long answered) {
    Cluster cluster = cluster(value);
    cluster.isRead = true;
    cluster.earliestRead = Math.min(cluster.earliestRead, answered);
    cluster.add(invoked, answered);
  }

  private Cluster cluster(long value) {
    return clusters.computeIfAbsent(value, Cluster::new);
  }

  /** Null if the history is linearizable, or else why it is not. */
  public @Nullable String violation() {
    List<Cluster> forward = new ArrayList<>();
    List<Cluster> backward = new ArrayList<>();
    for (Cluster cluster : clusters.values()) {
      if (cluster.isRead && cluster.written == NEVER) {
        return "a read found " + cluster.value + ", which was never written";
      }
      if (cluster.earliestRead < cluster.written) {
        return "a read found " + cluster.value + " before it was written";
      }
      if (cluster.isForward()) {
        forward.add(cluster);
      } else if (cluster.isRead || cluster.earliestResponse != NEVER) {
        backward.add(cluster); // a write that nobody saw and nobody answered need not have been
      }
    }
    return overlap(forward, backward);
  }

  private static @Nullable String overlap(List<Cluster> forward, List<Cluster> backward) {
    forward.sort(Comparator.comparingLong(cluster -> cluster.earliestResponse));
    TreeMap<Long, Cluster> byStart = new TreeMap<>();
    for (int i = 0; i < forward.size(); i++) {
      Cluster cluster = forward.get(i);
      if (i > 0 && cluster.earliestResponse < forward.get(i - 1).latestInvocation) {
        return "both "
            + forward.get(i - 1).value
            + " and "
            + cluster.value
            + " were there before"
            + " and after one another";
      }
      byStart.put(cluster.earliestResponse, cluster);
    }
    for (Cluster cluster : backward) {
      Map.Entry<Long, Cluster> before = byStart.lowerEntry(cluster.latestInvocation);
      if (before != null && cluster.earliestResponse < before.getValue().latestInvocation) {
        return cluster.value + " was there while " + before.getValue().value + " was";
      }
    }
    return null;
  }
}
