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
    WRITES,
    WRITTEN_BYTES,
    FLUSHES
  }

  /** Requests of one kind that were handed to the device. */
  static final class Requests {
    private final String label;
    private final Event count;
    private final @Nullable Event bytes;
    private final LongAdder failed = new LongAdder();
    private final Latencies times = new Latencies();

    private Requests(String kind, Event count, @Nullable Event bytes) {
      label = "kind=\"" + kind + "\"";
      this.count = count;
      this.bytes = bytes;
    }

    /** One is taken up. */
    void begin(Counters.Stripe<Event> stripe, int lengthBytes) {
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

  final Requests reads = new Requests("read", Event.READS, Event.READ_BYTES);
  final Requests writes = new Requests("write", Event.WRITES, Event.WRITTEN_BYTES);
  final Requests flushes = new Requests("flush", Event.FLUSHES, null);

  private final List<Requests> kinds = List.of(reads, writes, flushes);
  private final Counters<Event> counters = new Counters<>(Event.class);

  /** One connection's counts. */
  Counters.Stripe<Event> open() {
    return counters.open();
  }

  /** The requests that a connection answers together. The connection's thread's own. */
  final class Batch {
    private long begunNanos;
    private int readsDone;
    private int writesDone;
    private int flushesDone;

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
      } else if (kind == reads) {
        readsDone++;
      } else if (kind == writes) {
        writesDone++;
      } else {
        flushesDone++;
      }
    }

    /** What has completed is on its way to the client. */
    void answered() {
      if (readsDone + writesDone + flushesDone == 0) {
        return;
      }
      long nanos = System.nanoTime() - begunNanos;
      if (readsDone > 0) {
        reads.times.record(nanos, readsDone);
      }
      if (writesDone > 0) {
        writes.times.record(nanos, writesDone);
      }
      if (flushesDone > 0) {
        flushes.times.record(nanos, flushesDone);
      }
      readsDone = 0;
      writesDone = 0;
      flushesDone = 0;
    }
  }

  void register(Registry registry) {
    registry.counter(
        "jpcache_nbd_connections_total",
        "",
        "Clients that came as far as to use an export.",
        () -> counters.sum(Event.CONNECTIONS));
    registry.counter(
        "jpcache_nbd_refused_total",
        "",
        "Requests that were refused: wrong ones, and any while the server stops.",
        () -> counters.sum(Event.REFUSED));
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
