package jpcache.metrics;

import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;
import org.HdrHistogram.Recorder;
import org.jspecify.annotations.Nullable;

/**
 * How long something took, with every percentile, to two digits: from 0.1 us to 100 s.
 *
 * <p>Any thread records, without a lock or an allocation, in some 50 ns. Who handles thousands of
 * requests in a batch records the batch's time once, with the number of its requests.
 */
public final class Latencies {
  private static final long LOWEST_NANOS = 100;
  private static final long HIGHEST_NANOS = 100_000_000_000L;
  private static final int DIGITS = 2;

  private final Recorder recorder = new Recorder(LOWEST_NANOS, HIGHEST_NANOS, DIGITS);
  private final LongAdder sumNanos = new LongAdder();

  private final Histogram total = new Histogram(LOWEST_NANOS, HIGHEST_NANOS, DIGITS);
  private @Nullable Histogram interval;

  /** So many took so long, each. What is beyond the range counts as its end. */
  public void record(long nanos, int count) {
    long value = Math.clamp(nanos, 0, HIGHEST_NANOS);
    recorder.recordValueWithCount(value, count);
    sumNanos.add(value * count);
  }

  /** All that has been recorded so far; it does not change any more. */
  public synchronized Snapshot snapshot() {
    interval = recorder.getIntervalHistogram(interval);
    total.add(interval);
    return new Snapshot(total.copy(), sumNanos.sum());
  }

  /** What was recorded until some moment. */
  public static final class Snapshot {
    private final Histogram histogram;
    private final long sumNanos;

    private Snapshot(Histogram histogram, long sumNanos) {
      this.histogram = histogram;
      this.sumNanos = sumNanos;
    }

    public long count() {
      return histogram.getTotalCount();
    }

    public long sumNanos() {
      return sumNanos;
    }

    /** The time that so many of a hundred did not exceed; 0 if there was none. */
    public long percentileNanos(double percentile) {
      return count() == 0 ? 0 : histogram.getValueAtPercentile(percentile);
    }

    public long maxNanos() {
      return histogram.getMaxValue();
    }

    /** All of it. */
    public TimeCounts counts() {
      TreeMap<Long, Long> counts = new TreeMap<>();
      for (HistogramIterationValue value : histogram.recordedValues()) {
        counts.put(value.getValueIteratedTo(), value.getCountAddedInThisIterationStep());
      }
      return new TimeCounts(counts);
    }

    /** How many took no longer than this. */
    public long countUpTo(long nanos) {
      return histogram.getCountBetweenValues(0, nanos);
    }
  }
}
