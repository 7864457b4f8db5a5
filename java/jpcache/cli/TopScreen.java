package jpcache.cli;

import java.util.Formatter;
import java.util.Locale;

/** What {@code top} shows, from two statuses and the time between them. */
final class TopScreen {
  private static final String[] KINDS = {"read", "write", "flush"};

  private TopScreen() {}

  /** The screen; of one status alone, given twice, the rates are 0. */
  static String of(StatusReport now, StatusReport before, double seconds) {
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
        "%d clients, %d failed requests, %d failed write-backs%n",
        now.number("jpcache_nbd_connections"),
        failed(now),
        now.number("jpcache_writeback_errors_total"));
    screen.format("%n");
    screen.format(
        "%-6s %12s %12s %10s %10s %10s%n", "", "requests/s", "bytes/s", "p50", "p99", "max");
    for (String kind : KINDS) {
      screen.format(
          "%-6s %12.0f %12s %7d us %7d us %7d us%n",
          kind,
          rate(now, before, "jpcache_nbd_requests_total" + label(kind), seconds),
          bytes((long) rate(now, before, "jpcache_nbd_bytes_total" + label(kind), seconds)),
          now.number("jpcache_nbd_request_p50_us" + label(kind)),
          now.number("jpcache_nbd_request_p99_us" + label(kind)),
          now.number("jpcache_nbd_request_max_us" + label(kind)));
    }
    screen.format("%n");
    screen.format(
        "read hits %.1f %%, written back %s/s%n",
        hitPercent(now, before),
        bytes((long) rate(now, before, "jpcache_writeback_bytes_total", seconds)));
    return screen.toString();
  }

  private static long failed(StatusReport report) {
    long failed = 0;
    for (String kind : KINDS) {
      failed += report.number("jpcache_nbd_errors_total" + label(kind));
    }
    return failed;
  }

  private static double hitPercent(StatusReport now, StatusReport before) {
    double hits = difference(now, before, "jpcache_read_hits_total");
    double all = hits + difference(now, before, "jpcache_read_misses_total");
    return all == 0 ? 0 : 100 * hits / all;
  }

  private static String label(String kind) {
    return "{kind=\"" + kind + "\"}";
  }

  private static double rate(StatusReport now, StatusReport before, String name, double seconds) {
    return seconds <= 0 ? 0 : difference(now, before, name) / seconds;
  }

  private static long difference(StatusReport now, StatusReport before, String name) {
    return now.number(name) - before.number(name);
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
