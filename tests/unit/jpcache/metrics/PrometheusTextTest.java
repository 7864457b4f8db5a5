package jpcache.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class PrometheusTextTest {
  private final Registry registry = new Registry();

  @Test
  void aFamilyHasOneHeadingAndItsSeriesBelowIt() {
    registry
        .counter("x_total", "kind=\"a\"", "What x is.", () -> 1)
        .gauge("y", "", "What y is.", () -> -2)
        .counter("x_total", "kind=\"b\"", "What x is.", () -> Long.MAX_VALUE);
    assertEquals(
        """
        # HELP x_total What x is.
        # TYPE x_total counter
        x_total{kind="a"} 1
        x_total{kind="b"} 9223372036854775807
        # HELP y What y is.
        # TYPE y gauge
        y -2
        """,
        PrometheusText.of(registry));
  }

  @Test
  void latenciesAreCumulativeBucketsInSeconds() {
    Latencies latencies = new Latencies();
    latencies.record(9_000, 3);
    latencies.record(2_000_000, 2);
    latencies.record(Long.MAX_VALUE, 1);
    latencies.record(-1, 1);
    registry.latencies("t_seconds", "kind=\"r\"", "Times.", latencies);
    List<String> lines = PrometheusText.of(registry).lines().toList();
    assertTrue(lines.contains("t_seconds_bucket{kind=\"r\",le=\"0.00001\"} 4"), lines::toString);
    assertTrue(lines.contains("t_seconds_bucket{kind=\"r\",le=\"0.001\"} 4"), lines::toString);
    assertTrue(lines.contains("t_seconds_bucket{kind=\"r\",le=\"0.0025\"} 6"), lines::toString);
    assertTrue(lines.contains("t_seconds_bucket{kind=\"r\",le=\"10\"} 6"), lines::toString);
    assertTrue(lines.contains("t_seconds_bucket{kind=\"r\",le=\"+Inf\"} 7"), lines::toString);
    assertTrue(lines.contains("t_seconds_sum{kind=\"r\"} 100.004027"), lines::toString);
    assertTrue(lines.contains("t_seconds_count{kind=\"r\"} 7"), lines::toString);
  }

  @Test
  void aSnapshotHasPercentilesWithinAHundredthAndKeepsWhatEarlierOnesSaw() {
    Latencies latencies = new Latencies();
    registry.latencies("t_seconds", "", "Times.", latencies);
    assertEquals(0, registry.snapshot().get("t_p99_us"));
    for (int us = 1; us <= 1000; us++) {
      latencies.record(us * 1000L, 1);
      if (us == 500) {
        assertEquals(500, registry.snapshot().get("t_count"));
      }
    }
    Map<String, Long> snapshot = registry.snapshot();
    assertEquals(1000, snapshot.get("t_count"));
    assertEquals(500, value(snapshot, "t_p50_us"), 5);
    assertEquals(990, value(snapshot, "t_p99_us"), 10);
    assertEquals(1000, value(snapshot, "t_max_us"), 10);
  }

  private static double value(Map<String, Long> snapshot, String name) {
    return snapshot.getOrDefault(name, -1L);
  }

  @Test
  void aNameAndLabelCannotBeTwoThings() {
    registry.counter("x", "", "X.", () -> 1);
    assertThrows(IllegalArgumentException.class, () -> registry.counter("x", "", "X.", () -> 2));
    assertThrows(
        IllegalArgumentException.class, () -> registry.gauge("x", "a=\"b\"", "X.", () -> 2));
  }
}
