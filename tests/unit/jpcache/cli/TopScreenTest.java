package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import jpcache.JsonCheck;
import jpcache.base.UserException;
import jpcache.tools.JsonOutline;
import org.junit.jupiter.api.Test;

class TopScreenTest {
  private static List<String> status(int reads, int hits, int misses) {
    return List.of(
        "cache /mnt/pmem/the cache",
        "backing /dev/sdb",
        "mode write-back",
        "cache_segs 31",
        "segs_used 16",
        "gc_percent 70",
        "jpcache_dirty_bytes 1610612736",
        "jpcache_nbd_connections 1",
        "jpcache_nbd_requests_total{kind=\"read\"} " + reads,
        "jpcache_nbd_errors_total{kind=\"trim\"} 1",
        "jpcache_read_hits_total " + hits,
        "jpcache_read_misses_total " + misses);
  }

  private static List<String> times(String counts) {
    return List.of("jpcache_nbd_request_seconds{kind=\"read\"} " + counts);
  }

  private static TopInterval.Look look(int reads, int hits, int misses, String times, long nanos) {
    return TopInterval.Look.of(status(reads, hits, misses), times(times), nanos);
  }

  private final TopInterval busy =
      new TopInterval(
          look(500, 0, 5, "18743000:1", 7),
          look(1500, 30, 15, "51000:98 900000:2 18743000:1", 2_000_000_007L));

  private final TopInterval idle =
      new TopInterval(
          look(1500, 30, 15, "18743000:1", 7), look(1500, 30, 15, "18743000:1", 1_000_000_007L));

  private static void assertLine(String pattern, TopInterval interval) {
    String screen = TopScreen.of(interval);
    assertTrue(screen.lines().anyMatch(line -> line.matches(pattern)), screen);
  }

  @Test
  void ratesTimesAndHitsAreThoseOfTheInterval() {
    assertLine("/mnt/pmem/the cache in front of /dev/sdb, .*", busy);
    assertLine(".* 16 of 31 segments used \\(51 %\\), gc at 70 %, 1.5 GiB dirty", busy);
    assertLine("read +500 +0 B +51 us +900 us +900 us", busy);
    assertLine("read hits 75.0 %, .*", busy);
  }

  @Test
  void whatDidNotOccurHasNeitherTimesNorHits() {
    assertLine("read +0 +0 B +- +- +-", idle);
    assertLine("read hits -, written back 0 B/s", idle);
  }

  @Test
  void everyKindOfRequestIsShownAndCounted() {
    for (String kind : List.of("read", "write", "flush", "trim", "zero", "cache", "status")) {
      assertLine(kind + " +\\d.*", idle);
    }
    assertLine("1 client; in all 1 failed request and 0 failed write-backs", idle);
  }

  @Test
  void asJsonItIsOneLine() {
    StringWriter out = new StringWriter();
    busy.show(JsonOutline.line(new PrintWriter(out)));
    JsonCheck.check(out.toString());
    assertEquals(1, out.toString().lines().count(), out::toString);
    assertTrue(out.toString().contains("\"interval_ms\": 2000, "), out::toString);
    assertTrue(
        out.toString()
            .contains(
                "\"read\": {\"requests_per_second\": 500, \"bytes_per_second\": 0, \"p50_us\": 51,"
                    + " \"p99_us\": 900, \"max_us\": 900}"),
        out::toString);
    assertTrue(
        out.toString().contains("\"trim\": {\"requests_per_second\": 0, \"bytes_per_second\": 0}"),
        out::toString);
  }

  @Test
  void whatIsNoStatusAndNoTimesIsRefused() {
    assertThrows(UserException.class, () -> TopInterval.Look.of(List.of("nonsense"), List.of(), 0));
    for (String nonsense : List.of("nonsense", "name x", "name 1:y")) {
      assertThrows(UserException.class, () -> TopInterval.Look.of(List.of(), List.of(nonsense), 0));
    }
  }

  @Test
  void aStatusSurvivesItsLines() {
    StatusReport report = StatusReport.ofLines(status(1, 2, 3));
    assertEquals(report, StatusReport.ofLines(report.lines()));
    assertEquals(0, report.number("cache"), "not a number");
  }
}
