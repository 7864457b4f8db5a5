package jpcache.cache;

import jpcache.metrics.Counters;
import jpcache.metrics.Registry;

/** What a cache counts; each {@link CacheQueue} has a stripe of its own. */
final class CacheMetrics {
  enum Event {
    READ_HITS,
    READ_MISSES,
    READ_BYTES,
    READ_MISS_BYTES,
    DAMAGED_READS,
    STORED_BYTES,
    KEPT_BYTES,
    WRITES_WAITED,
    COMMITS
  }

  private final Counters<Event> counters = new Counters<>(Event.class);

  Counters.Stripe<Event> open() {
    return counters.open();
  }

  long sum(Event event) {
    return counters.sum(event);
  }

  void register(Registry registry, Cache cache, WriteBack writeBack) {
    counter(registry, "read_hits_total", "Reads of cached data alone.", Event.READ_HITS);
    counter(
        registry,
        "read_misses_total",
        "Reads that needed the backing device for some or all of their data.",
        Event.READ_MISSES);
    counter(registry, "read_bytes_total", "Bytes read, cached or not.", Event.READ_BYTES);
    counter(
        registry,
        "read_miss_bytes_total",
        "Bytes among them that were not cached.",
        Event.READ_MISS_BYTES);
    counter(
        registry,
        "damaged_reads_total",
        "Times that cached data did not fit its data_crc or could not be read.",
        Event.DAMAGED_READS);
    counter(
        registry,
        "stored_bytes_total",
        "Bytes copied into the cache: by writes, after misses, and to keep what is read often.",
        Event.STORED_BYTES);
    counter(
        registry,
        "kept_bytes_total",
        "Bytes among them that had been read since they came, and would else have left the cache.",
        Event.KEPT_BYTES);
    counter(
        registry,
        "writes_waited_total",
        "Writes that had to wait for room in the cache.",
        Event.WRITES_WAITED);
    counter(registry, "commits_total", "Batches of writes that were committed.", Event.COMMITS);
    registry
        .counter(
            "jpcache_ksets_total", "", "Key sets written to the log.", cache.log().head()::ksets)
        .gauge(
            "jpcache_segments",
            "",
            "Segments of 16 MiB that the cache has.",
            () -> cache.segments().count())
        .gauge(
            "jpcache_segments_used",
            "",
            "Segments that hold key sets or live data, or are being filled.",
            () -> cache.segments().usedCount())
        .gauge(
            "jpcache_dirty_bytes",
            "",
            "Bytes logged that the backing device does not have, overwritten ones included.",
            cache::dirtyBytes)
        .counter(
            "jpcache_writeback_bytes_total",
            "",
            "Of dirty bytes, those that have been dealt with.",
            writeBack::writtenBackBytes)
        .gauge(
            "jpcache_writeback_bytes_per_second",
            "",
            "How fast the last batch was written back; 0 before the first.",
            cache.maintenance()::bytesPerSecond)
        .counter(
            "jpcache_writeback_errors_total",
            "",
            "Batches that could not be written back; each is tried again.",
            cache.maintenance()::writeBackErrors)
        .gauge(
            "jpcache_writeback_last_errno",
            "",
            "The error number of the last batch; 0 if it was written back.",
            cache.maintenance()::lastErrno);
  }

  private void counter(Registry registry, String name, String help, Event event) {
    registry.counter("jpcache_" + name, "", help, () -> counters.sum(event));
  }
}
