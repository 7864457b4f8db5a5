package jpcache.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;

class TimeCountsTest {
  private final Latencies latencies = new Latencies();

  private TimeCounts counts() {
    return latencies.snapshot().counts();
  }

  private static void assertAbout(long nanos, long found) {
    assertTrue(found >= nanos && found <= nanos * 1.01, () -> found + " for " + nanos);
  }

  @Test
  void anIntervalHasItsOwnPercentiles() {
    latencies.record(18_000_000, 1000);
    TimeCounts before = counts();
    latencies.record(50_000, 98);
    latencies.record(900_000, 2);
    TimeCounts interval = counts().since(before);

    assertAbout(50_000, interval.percentileNanos(50));
    assertAbout(50_000, interval.percentileNanos(98));
    assertAbout(900_000, interval.percentileNanos(99));
    assertAbout(900_000, interval.percentileNanos(100));
    assertAbout(18_000_000, counts().percentileNanos(50));
  }

  @Test
  void anIntervalWithoutAnyIsEmpty() {
    latencies.record(18_000_000, 1000);
    TimeCounts idle = counts().since(counts());
    assertTrue(idle.isEmpty());
    assertEquals(0, idle.percentileNanos(50));
  }

  @Test
  void theySurviveTheirText() {
    assertEquals(counts(), TimeCounts.parse(counts().toString()));
    latencies.record(1000, 3);
    latencies.record(5_000_000, 1);
    assertEquals(counts(), TimeCounts.parse(counts().toString()));
    assertThrows(IllegalArgumentException.class, () -> TimeCounts.parse("nonsense"));
    assertThrows(IllegalArgumentException.class, () -> TimeCounts.parse("1:x"));
  }

  @Test
  void aRegistryHasThemByTheMetricsName() {
    Registry registry = new Registry();
    registry.latencies("t_seconds", "kind=\"a\"", "Time.", latencies);
    registry.counter("n_total", "", "Number.", () -> 1);
    latencies.record(1000, 3);
    assertEquals(Map.of("t_seconds{kind=\"a\"}", counts()), registry.times());
  }
}
