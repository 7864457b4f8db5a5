package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;

class TopScreenTest {
  private static StatusReport report(int reads, int hits, int misses) {
    return StatusReport.ofLines(
        List.of(
            "cache /mnt/pmem/the cache",
            "backing /dev/sdb",
            "mode write-back",
            "cache_segs 31",
            "segs_used 16",
            "gc_percent 70",
            "jpcache_dirty_bytes 1610612736",
            "jpcache_nbd_requests_total{kind=\"read\"} " + reads,
            "jpcache_read_hits_total " + hits,
            "jpcache_read_misses_total " + misses));
  }

  @Test
  void ratesAreThoseOfTheTimeBetweenTwoStatuses() {
    String screen = TopScreen.of(report(1500, 30, 15), report(500, 0, 5), 2.0);
    assertTrue(screen.contains("/mnt/pmem/the cache in front of /dev/sdb"), screen);
    assertTrue(screen.contains("16 of 31 segments used (51 %), gc at 70 %, 1.5 GiB dirty"), screen);
    assertTrue(screen.lines().anyMatch(l -> l.matches("read +500 .*")), screen);
    assertTrue(screen.contains("read hits 75.0 %"), screen);
  }

  @Test
  void withOneStatusAloneNothingHasARate() {
    String screen = TopScreen.of(report(1500, 30, 15), report(1500, 30, 15), 0);
    assertTrue(screen.lines().anyMatch(l -> l.matches("read +0 +0 B .*")), screen);
    assertTrue(screen.contains("read hits 0.0 %"), screen);
  }

  @Test
  void aStatusSurvivesItsLines() {
    StatusReport report = report(1, 2, 3);
    assertEquals(report, StatusReport.ofLines(report.lines()));
    assertEquals(0, report.number("cache"), "not a number");
    assertThrows(UserException.class, () -> StatusReport.ofLines(List.of("nonsense")));
  }
}
