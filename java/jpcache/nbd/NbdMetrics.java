package jpcache.nbd;

import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import jpcache.metrics.Counters;
import jpcache.metrics.Latencies;
import jpcache.metrics.Registry;
import org.jspecify.annotations.Nullable;

/**
 * What a server counts: connections, and of each kind of request how many, how many bytes, how many
 * failed and how long they took.
 *
 * <p>A connection counts what it takes up in a stripe of its own. Times are those of batches: the
 * clock is read when a batch is taken up and when its replies have gone to the socket, and all
 * requests answered in it count with that time; a read that missed the cache counts by itself,
 * until its data was there.
 */
final class NbdMetrics {
  /** What a connection's stripe counts. */
  enum Event {
    CONNECTIONS,
    REFUSED,
    READS,
    READ_BYTES,
    LENT_READS,
    WRITES,
    WRITTEN_BYTES,
    FLUSHES,
    TRIMS,
    TRIMMED_BYTES,
    ZEROES,
    ZEROED_BYTES,
    PREFETCHES,
    PREFETCHED_BYTES,
    STATUSES
  }

  /** Requests of one kind that were handed to the device. */
  static final class Requests {
    private final int index;
    private final String label;
    private final Event count;
    private final @Nullable Event bytes;
    private final LongAdder failed = new LongAdder();
    private final Latencies times = new Latencies();

    private Requests(int index, String kind, Event count, @Nullable Event bytes) {
      this.index = index;
      label = "kind=\"" + kind + "\"";
      this.count = count;
      this.bytes = bytes;
    }

    /** One is taken up. */
    void begin(Counters.Stripe<Event> stripe, long lengthBytes) {
      stripe.add(count, 1);
      if (bytes != null) {
        stripe.add(bytes, lengthBytes);
      }
    }

    /** One was answered by itself. Any thread. */
    void answered(long nanos) {
      times.record(nanos, 1);
    }

    /** One could not be done. Any thread. */
    void failed() {
      failed.increment();
    }
  }

  final Requests reads = new Requests(0, "read", Event.READS, Event.READ_BYTES);
  final Requests writes = new Requests(1, "write", Event.WRITES, Event.WRITTEN_BYTES);
  final Requests flushes = new Requests(2, "flush", Event.FLUSHES, null);
  final Requests trims = new Requests(3, "trim", Event.TRIMS, Event.TRIMMED_BYTES);
  final Requests zeroes = new Requests(4, "zero", Event.ZEROES, Event.ZEROED_BYTES);
  final Requests prefetches = new Requests(5, "cache", Event.PREFETCHES, Event.PREFETCHED_BYTES);
  final Requests statuses = new Requests(6, "status", Event.STATUSES, null);

  private final List<Requests> kinds =
      List.of(reads, writes, flushes, trims, zeroes, prefetches, statuses);
  private final LongAdder refusedConnections = new LongAdder();
  private final Counters<Event> counters = new Counters<>(Event.class);

  /** One connection's counts. */
  Counters.Stripe<Event> open() {
    return counters.open();
  }

  /** One was beyond the limit. */
  void refusedConnection() {
    refusedConnections.increment();
  }

  /** The requests that a connection answers together. The connection's thread's own. */
  final class Batch {
    private final int[] done = new int[kinds.size()];
    private int doneAll;
    private long begunNanos;

    /** The first of its requests has arrived. */
    void begin() {
      begunNanos = System.nanoTime();
    }

    long begunNanos() {
      return begunNanos;
    }

    /** A request of some kind, or a refused one, that began at some time, has completed. */
    void completed(@Nullable Requests kind, long requestBegunNanos) {
      if (kind == null) {
        return;
      }
      if (requestBegunNanos != begunNanos) {
        kind.answered(System.nanoTime() - requestBegunNanos); // it was left over from another batch
      } else {
        done[kind.index]++;
        doneAll++;
      }
    }

    /** What has completed is on its way to the client. */
    void answered() {
      if (doneAll == 0) {
        return;
      }
      long nanos = System.nanoTime() - begunNanos;
      for (int i = 0; doneAll > 0; i++) {
        if (done[i] > 0) {
          kinds.get(i).times.record(nanos, done[i]);
          doneAll -= done[i];
          done[i] = 0;
        }
      }
    }
  }

  void register(Registry registry) {
    registry.counter(
        "jpcache_nbd_connections_total",
        "",
        "Clients that came as far as to use an export.",
        () -> counters.sum(Event.CONNECTIONS));
    registry.counter(
        "jpcache_nbd_connections_refused_total",
        "",
        "Connections that were closed at once, being beyond --max-connections.",
        refusedConnections::sum);
    registry.counter(
        "jpcache_nbd_refused_total",
        "",
        "Requests that were refused: wrong ones, and any while the server stops.",
        () -> counters.sum(Event.REFUSED));
    registry.counter(
        "jpcache_nbd_lent_reads_total",
        "",
        "Reads whose data was sent from where it lies, without a copy.",
        () -> counters.sum(Event.LENT_READS));
    for (Requests kind : kinds) {
      register(registry, kind);
    }
  }

  private void register(Registry registry, Requests kind) {
    registry.counter(
        "jpcache_nbd_requests_total",
        kind.label,
        "Requests that were handed to the cache.",
        () -> counters.sum(kind.count));
    registry.counter(
        "jpcache_nbd_errors_total",
        kind.label,
        "Requests that were handed to the cache and failed.",
        kind.failed::sum);
    Event bytes = kind.bytes;
    if (bytes != null) {
      registry.counter(
          "jpcache_nbd_bytes_total",
          kind.label,
          "Bytes that those requests were to read or write.",
          () -> counters.sum(bytes));
    }
    registry.latencies(
        "jpcache_nbd_request_seconds",
        kind.label,
        "From a request's arrival until its answer went to the socket.",
        kind.times);
  }
}
