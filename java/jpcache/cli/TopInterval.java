package jpcache.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import jpcache.base.UserException;
import jpcache.metrics.TimeCounts;
import jpcache.tools.Outline;

/** What a server did between two looks at it: what {@code top} shows. */
record TopInterval(TopInterval.Look before, TopInterval.Look now) {
  /** The kinds of requests, as the metrics call them. */
  static final List<String> KINDS =
      List.of("read", "write", "flush", "trim", "zero", "cache", "status");

  private static final TimeCounts NONE = TimeCounts.parse("");

  /**
   * A look at a server.
   *
   * @param times how many requests of each kind took how long since the server started, by metric
   * @param nanos when it was taken, on any clock
   */
  record Look(StatusReport status, Map<String, TimeCounts> times, long nanos) {
    /** From a server's answers to {@code status} and {@code times}. */
    static Look of(List<String> status, List<String> times, long nanos) {
      Map<String, TimeCounts> parsed = new LinkedHashMap<>();
      for (String line : times) {
        int space = line.indexOf(' ');
        try {
          parsed.put(line.substring(0, space), TimeCounts.parse(line.substring(space + 1)));
        } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
          throw new UserException("the server's times have a line that is none: " + line, e);
        }
      }
      return new Look(StatusReport.ofLines(status), parsed, nanos);
    }
  }

  private static String metric(String name, String kind) {
    return "jpcache_nbd_" + name + "{kind=\"" + kind + "\"}";
  }

  StatusReport status() {
    return now.status;
  }

  private long millis() {
    return Math.max(1, TimeUnit.NANOSECONDS.toMillis(now.nanos - before.nanos));
  }

  private long added(String name) {
    return now.status.number(name) - before.status.number(name);
  }

  private long perSecond(String name) {
    return Math.round(1000.0 * added(name) / millis());
  }

  long requestsPerSecond(String kind) {
    return perSecond(metric("requests_total", kind));
  }

  long bytesPerSecond(String kind) {
    return perSecond(metric("bytes_total", kind));
  }

  long writtenBackPerSecond() {
    return perSecond("jpcache_writeback_bytes_total");
  }

  /** How many requests of a kind took how long. */
  TimeCounts times(String kind) {
    String name = metric("request_seconds", kind);
    return now.times.getOrDefault(name, NONE).since(before.times.getOrDefault(name, NONE));
  }

  long readHits() {
    return added("jpcache_read_hits_total");
  }

  long readMisses() {
    return added("jpcache_read_misses_total");
  }

  /** Since the server started. */
  long failedRequests() {
    return KINDS.stream().mapToLong(kind -> now.status.number(metric("errors_total", kind))).sum();
  }

  /** For programs; what did not occur has no times. */
  void show(Outline out) {
    out.begin("top");
    out.value("export", status().text("export"));
    out.value("cache", status().text("cache"));
    out.value("backing", status().text("backing"));
    out.value("uptime_seconds", status().number("jpcache_uptime_seconds"));
    out.value("interval_ms", millis());
    out.value("mode", status().text("mode"));
    out.value("segments", status().number("cache_segs"));
    out.value("segments_used", status().number("segs_used"));
    out.value("gc_percent", status().number("gc_percent"));
    out.value("dirty_bytes", status().number("jpcache_dirty_bytes"));
    out.value("clients", status().number("jpcache_nbd_connections"));
    out.value("failed_requests", failedRequests());
    out.value("failed_writebacks", status().number("jpcache_writeback_errors_total"));
    for (String kind : KINDS) {
      out.begin(kind);
      out.value("requests_per_second", requestsPerSecond(kind));
      out.value("bytes_per_second", bytesPerSecond(kind));
      TimeCounts times = times(kind);
      if (!times.isEmpty()) {
        out.value("p50_us", times.percentileNanos(50) / 1000);
        out.value("p99_us", times.percentileNanos(99) / 1000);
        out.value("max_us", times.percentileNanos(100) / 1000);
      }
      out.end();
    }
    out.value("read_hits", readHits());
    out.value("read_misses", readMisses());
    out.value("writeback_bytes_per_second", writtenBackPerSecond());
    out.end();
  }
}
