package jpcache.metrics;

import java.util.Collections;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * How many took how long: the counts of a histogram, each by the longest time in nanoseconds that
 * it stands for. As text it is such pairs: {@code 1023:5 2047:1}.
 */
public record TimeCounts(NavigableMap<Long, Long> byNanos) {
  public TimeCounts {
    byNanos = Collections.unmodifiableNavigableMap(new TreeMap<>(byNanos));
  }

  /**
   * What {@link #toString} has written.
   *
   * @throws IllegalArgumentException if it is something else
   */
  public static TimeCounts parse(String text) {
    TreeMap<Long, Long> counts = new TreeMap<>();
    for (String pair : text.isEmpty() ? new String[0] : text.split(" ", -1)) {
      String[] numbers = pair.split(":", -1);
      if (numbers.length != 2) {
        throw new IllegalArgumentException(pair + ": not NANOSECONDS:COUNT");
      }
      counts.put(Long.valueOf(numbers[0]), Long.valueOf(numbers[1]));
    }
    return new TimeCounts(counts);
  }

  /** What was counted since an earlier moment. */
  public TimeCounts since(TimeCounts before) {
    TreeMap<Long, Long> counts = new TreeMap<>();
    byNanos.forEach((nanos, count) -> {
      long added = count - before.byNanos.getOrDefault(nanos, 0L);
      if (added > 0) {
        counts.put(nanos, added);
      }
    });
    return new TimeCounts(counts);
  }

  public boolean isEmpty() {
    return byNanos.isEmpty();
  }

  /** The time that so many of a hundred did not exceed; 0 if there was none. */
  public long percentileNanos(double percentile) {
    long all = byNanos.values().stream().mapToLong(Long::longValue).sum();
    long wanted = (long) Math.ceil(all * percentile / 100);
    long counted = 0;
    for (Map.Entry<Long, Long> entry : byNanos.entrySet()) {
      counted += entry.getValue();
      if (counted >= wanted) {
        return entry.getKey();
      }
    }
    return 0;
  }

  @Override
  public String toString() {
    return byNanos.entrySet().stream()
        .map(entry -> entry.getKey() + ":" + entry.getValue())
        .collect(Collectors.joining(" "));
  }
}
