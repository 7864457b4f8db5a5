package jpcache.metrics;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * All metrics of a server, by their Prometheus names. A metric is asked for its value when somebody
 * reads it; who registers it goes on counting as before.
 *
 * <p>Registered while a server is built, read by any thread afterwards.
 */
public final class Registry {
  /** What kind of number it is, in Prometheus's words. */
  enum Type {
    COUNTER,
    GAUGE,
    HISTOGRAM
  }

  /**
   * One time series.
   *
   * @param label empty, or {@code name="value"}
   * @param value its value; null of a histogram
   * @param latencies the histogram; null of a number
   */
  record Series(String label, @Nullable LongSupplier value, @Nullable Latencies latencies) {}

  /** All series of one name. */
  record Family(String name, Type type, String help, List<Series> series) {}

  private final Map<String, Family> families;
  private final String commonLabel;

  /** One that is empty. */
  public Registry() {
    this(new LinkedHashMap<>(), "");
  }

  private Registry(Map<String, Family> families, String commonLabel) {
    this.families = families;
    this.commonLabel = commonLabel;
  }

  /** The same registry; what is registered through it has one more label. */
  public Registry labelled(String name, String value) {
    return new Registry(families, join(commonLabel, label(name, value)));
  }

  private static String label(String name, String value) {
    String escaped = value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
    return name + "=\"" + escaped + "\"";
  }

  private static String join(String first, String second) {
    return first.isEmpty() || second.isEmpty() ? first + second : first + "," + second;
  }

  /**
   * Something that is only ever counted up.
   *
   * @param name ends with _total
   * @param label empty, or {@code name="value"}
   */
  public Registry counter(String name, String label, String help, LongSupplier value) {
    return add(name, Type.COUNTER, help, new Series(label, value, null));
  }

  /** Something that goes up and down. */
  public Registry gauge(String name, String label, String help, LongSupplier value) {
    return add(name, Type.GAUGE, help, new Series(label, value, null));
  }

  /**
   * How long something takes.
   *
   * @param name ends with _seconds
   */
  public Registry latencies(String name, String label, String help, Latencies latencies) {
    return add(name, Type.HISTOGRAM, help, new Series(label, null, latencies));
  }

  private Registry add(String name, Type type, String help, Series unlabelled) {
    Series series =
        new Series(
            join(commonLabel, unlabelled.label()), unlabelled.value(), unlabelled.latencies());
    synchronized (families) {
      return add(families, name, type, help, series);
    }
  }

  private Registry add(
      Map<String, Family> families, String name, Type type, String help, Series series) {
    Family family =
        families.computeIfAbsent(name, n -> new Family(n, type, help, new ArrayList<>()));
    boolean twice = family.series().stream().anyMatch(s -> s.label().equals(series.label()));
    if (family.type() != type || twice) {
      throw new IllegalArgumentException(name + "{" + series.label() + "}: registered twice");
    }
    family.series().add(series);
    return this;
  }

  /** The families in the order in which they were registered. */
  List<Family> families() {
    synchronized (families) {
      return families.values().stream()
          .map(f -> new Family(f.name(), f.type(), f.help(), List.copyOf(f.series())))
          .toList();
    }
  }

  /**
   * Every value now, by name and label. Of latencies there are the count, percentiles and the
   * largest, in microseconds.
   */
  public Map<String, Long> snapshot() {
    return snapshot("", "");
  }

  /**
   * The same of what {@link #labelled} has given this label, shown without it, and of what was
   * registered without a label of that name.
   */
  public Map<String, Long> snapshot(String labelName, String labelValue) {
    Map<String, Long> values = new LinkedHashMap<>();
    String own = label(labelName, labelValue);
    for (Family family : families()) {
      for (Series shown : family.series()) {
        boolean labelled = !labelName.isEmpty() && shown.label().startsWith(labelName + "=\"");
        if (labelled && !(shown.label() + ",").startsWith(own + ",")) {
          continue;
        }
        String label =
            labelled ? shown.label().substring(own.length()).replaceFirst("^,", "") : shown.label();
        Series series = new Series(label, shown.value(), shown.latencies());
        if (series.latencies() != null) {
          latencies(values, family.name(), series.label(), series.latencies().snapshot());
        } else if (series.value() != null) {
          values.put(name(family.name(), series.label()), series.value().getAsLong());
        }
      }
    }
    return values;
  }

  private static void latencies(
      Map<String, Long> values, String name, String label, Latencies.Snapshot taken) {
    String base = name.replaceFirst("_seconds$", "");
    values.put(name(base + "_count", label), taken.count());
    values.put(name(base + "_p50_us", label), taken.percentileNanos(50) / 1000);
    values.put(name(base + "_p99_us", label), taken.percentileNanos(99) / 1000);
    values.put(name(base + "_p999_us", label), taken.percentileNanos(99.9) / 1000);
    values.put(name(base + "_max_us", label), taken.maxNanos() / 1000);
  }

  /** How many took how long until now, by name and label, of everything whose time is taken. */
  public Map<String, TimeCounts> times() {
    Map<String, TimeCounts> times = new LinkedHashMap<>();
    for (Family family : families()) {
      for (Series series : family.series()) {
        if (series.latencies() != null) {
          times.put(name(family.name(), series.label()), series.latencies().snapshot().counts());
        }
      }
    }
    return times;
  }

  static String name(String name, String label) {
    return label.isEmpty() ? name : name + "{" + label + "}";
  }
}
