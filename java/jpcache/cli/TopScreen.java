package jpcache.cli;

import java.util.Formatter;
import java.util.Locale;
import jpcache.metrics.TimeCounts;

/** How {@code top} shows an interval to people. */
final class TopScreen {
  private TopScreen() {}

  /** The screen. What is not said to be a total is of the interval; what did not occur is "-". */
  static String of(TopInterval interval) {
    StatusReport now = interval.status();
    Formatter screen = new Formatter(Locale.ROOT);
    screen.format(
        "%s in front of %s, up %d s%n",
        now.text("cache"), now.text("backing"), now.number("jpcache_uptime_seconds"));
    long segments = Math.max(1, now.number("cache_segs"));
    screen.format(
        "%s, %d of %d segments used (%d %%), gc at %d %%, %s dirty%n",
        now.text("mode"),
        now.number("segs_used"),
        segments,
        100 * now.number("segs_used") / segments,
        now.number("gc_percent"),
        bytes(now.number("jpcache_dirty_bytes")));
    screen.format(
        "%s; in all %s and %s%n",
        count(now.number("jpcache_nbd_connections"), "client"),
        count(interval.failedRequests(), "failed request"),
        count(now.number("jpcache_writeback_errors_total"), "failed write-back"));
    screen.format("%n");
    screen.format(
        "%-6s %12s %12s %10s %10s %10s%n", "", "requests/s", "bytes/s", "p50", "p99", "max");
    for (String kind : TopInterval.KINDS) {
      TimeCounts times = interval.times(kind);
      screen.format(
          "%-6s %12d %12s %10s %10s %10s%n",
          kind,
          interval.requestsPerSecond(kind),
          bytes(interval.bytesPerSecond(kind)),
          micros(times, 50),
          micros(times, 99),
          micros(times, 100));
    }
    screen.format("%n");
    screen.format(
        "read hits %s, written back %s/s%n",
        hitPercent(interval), bytes(interval.writtenBackPerSecond()));
    return screen.toString();
  }

  private static String count(long number, String what) {
    return number + " " + what + (number == 1 ? "" : "s");
  }

  private static String micros(TimeCounts times, double percentile) {
    return times.isEmpty() ? "-" : times.percentileNanos(percentile) / 1000 + " us";
  }

  private static String hitPercent(TopInterval interval) {
    long all = interval.readHits() + interval.readMisses();
    return all == 0
        ? "-"
        : String.format(Locale.ROOT, "%.1f %%", 100.0 * interval.readHits() / all);
  }

  private static String bytes(long bytes) {
    double shown = bytes;
    String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (shown >= 1024 && unit < units.length - 1) {
      shown /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", shown, units[unit]);
  }
}
