package jpcache.metrics;

import java.math.BigDecimal;
import java.util.Locale;
import jpcache.metrics.Registry.Family;
import jpcache.metrics.Registry.Series;

/** A registry in Prometheus's text format, version 0.0.4. */
public final class PrometheusText {
  public static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

  /** The upper ends of a histogram's buckets: 1, 2.5, 5 from 10 us to 10 s. */
  private static final long[] BUCKET_NANOS = buckets();

  private PrometheusText() {}

  private static long[] buckets() {
    final int decades = 6;
    long[] ends = new long[3 * decades + 1];
    long decade = 10_000;
    for (int i = 0; i < decades; i++, decade *= 10) {
      ends[3 * i] = decade;
      ends[3 * i + 1] = decade * 5 / 2;
      ends[3 * i + 2] = decade * 5;
    }
    ends[3 * decades] = decade;
    return ends;
  }

  /** All values now. */
  public static String of(Registry registry) {
    StringBuilder text = new StringBuilder();
    for (Family family : registry.families()) {
      String type = family.type().name().toLowerCase(Locale.ROOT);
      text.append("# HELP ").append(family.name()).append(' ').append(family.help()).append('\n');
      text.append("# TYPE ").append(family.name()).append(' ').append(type).append('\n');
      for (Series series : family.series()) {
        if (family.type() == Registry.Type.HISTOGRAM && series.latencies() != null) {
          histogram(text, family.name(), series.label(), series.latencies().snapshot());
        } else if (series.value() != null) {
          sample(text, Registry.name(family.name(), series.label()), series.value().getAsLong());
        }
      }
    }
    return text.toString();
  }

  private static void histogram(
      StringBuilder text, String name, String label, Latencies.Snapshot taken) {
    String before = label.isEmpty() ? "" : label + ",";
    for (long end : BUCKET_NANOS) {
      bucket(text, name, before, seconds(end), taken.countUpTo(end));
    }
    bucket(text, name, before, "+Inf", taken.count());
    text.append(Registry.name(name + "_sum", label))
        .append(' ')
        .append(seconds(taken.sumNanos()))
        .append('\n');
    sample(text, Registry.name(name + "_count", label), taken.count());
  }

  private static void bucket(
      StringBuilder text, String name, String before, String end, long count) {
    sample(text, name + "_bucket{" + before + "le=\"" + end + "\"}", count);
  }

  private static void sample(StringBuilder text, String name, long value) {
    text.append(name).append(' ').append(value).append('\n');
  }

  private static String seconds(long nanos) {
    return BigDecimal.valueOf(nanos, 9).stripTrailingZeros().toPlainString();
  }
}
