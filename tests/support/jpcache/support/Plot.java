package jpcache.support;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;

/**
 * A line plot as an SVG file, for docs: axes with their units, linear or logarithmic, a legend. It
 * brings its own background, so it can be read in light and in dark surroundings.
 *
 * <pre>
 *   title
 *   legend
 *   y   |        ___/   points, joined by lines
 *   axis|  _____/
 *       +-------------- x axis
 * </pre>
 */
public final class Plot {
  /** What an axis measures, in which unit, and whether equal ratios are equal distances on it. */
  public record Axis(String label, boolean logarithmic) {}

  private record Series(String name, List<double[]> points) {}

  private static final int WIDTH = 640;
  private static final int HEIGHT = 400;
  private static final int LEFT = 72;
  private static final int RIGHT = WIDTH - 24;
  private static final int TOP = 72;
  private static final int BOTTOM = HEIGHT - 56;
  private static final int LEGEND_STEP = 140;

  /** Colours that differ for the colour-blind too, and dashes for who sees none. */
  private static final List<String> COLOURS = List.of("#0072b2", "#d55e00", "#009e73", "#cc79a7");

  private static final List<String> DASHES = List.of("none", "6 3", "2 3", "9 3 2 3");

  private static final String STYLE =
      """
      <style>
      text { font: 12px sans-serif; fill: #222 }
      .back { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #222 }
      @media (prefers-color-scheme: dark) {
      text { fill: #ddd } .back { fill: #1e1e1e } .grid { stroke: #444 } .axis { stroke: #ddd }
      }
      </style>
      """;

  private final String title;
  private final Axis x;
  private final Axis y;
  private final List<Series> series = new ArrayList<>();

  public Plot(String title, Axis x, Axis y) {
    this.title = title;
    this.x = x;
    this.y = y;
  }

  /**
   * Adds a line.
   *
   * @param points x and y of each, in the order of x
   */
  public Plot add(String name, List<double[]> points) {
    if (series.size() == COLOURS.size() || points.isEmpty()) {
      throw new IllegalArgumentException(name + ": a line too many, or without points");
    }
    series.add(new Series(name, List.copyOf(points)));
    return this;
  }

  /** The file's content. */
  public String svg() {
    Scale across = scale(x, 0, LEFT, RIGHT);
    Scale up = scale(y, 1, BOTTOM, TOP);
    StringBuilder out = new StringBuilder();
    out.append("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ")
        .append(WIDTH + " " + HEIGHT + "\" width=\"" + WIDTH + "\" height=\"" + HEIGHT)
        .append("\" role=\"img\" aria-label=\"" + escape(title) + "\">\n")
        .append(STYLE);
    element(out, "rect", "class", "back", "width", at(WIDTH), "height", at(HEIGHT));
    text(out, WIDTH / 2.0, 24, "text-anchor=\"middle\"", title);
    for (double tick : across.ticks) {
      String place = at(across.place(tick));
      element(out, "path", "class", "grid", "d", "M" + place + " " + TOP + "V" + BOTTOM);
      text(out, across.place(tick), BOTTOM + 18, "text-anchor=\"middle\"", number(tick));
    }
    for (double tick : up.ticks) {
      String place = at(up.place(tick));
      element(out, "path", "class", "grid", "d", "M" + LEFT + " " + place + "H" + RIGHT);
      text(out, LEFT - 6, up.place(tick) + 4, "text-anchor=\"end\"", number(tick));
    }
    String axes = "M" + LEFT + " " + TOP + "V" + BOTTOM + "H" + RIGHT;
    element(out, "path", "class", "axis", "fill", "none", "d", axes);
    text(out, (LEFT + RIGHT) / 2.0, HEIGHT - 14, "text-anchor=\"middle\"", x.label);
    String turned = "text-anchor=\"middle\" transform=\"rotate(-90 18 " + middle() + ")\"";
    text(out, 18, middle(), turned, y.label);
    for (int i = 0; i < series.size(); i++) {
      draw(out, i, across, up);
    }
    return out.append("</svg>\n").toString();
  }

  private static int middle() {
    return (TOP + BOTTOM) / 2;
  }

  private void draw(StringBuilder out, int i, Scale across, Scale up) {
    Series line = series.get(i);
    int legend = LEFT + i * LEGEND_STEP;
    stroke(out, i, "M" + legend + " 48h24");
    text(out, legend + 30, 52, "", line.name);
    StringBuilder path = new StringBuilder();
    for (double[] point : line.points) {
      String place = at(across.place(point[0])) + " " + at(up.place(point[1]));
      path.append(path.isEmpty() ? "M" : "L").append(place);
    }
    stroke(out, i, path.toString());
    for (double[] point : line.points) {
      String cx = at(across.place(point[0]));
      String cy = at(up.place(point[1]));
      element(out, "circle", "cx", cx, "cy", cy, "r", "3", "fill", COLOURS.get(i));
    }
  }

  private static void stroke(StringBuilder out, int i, String path) {
    element(
        out,
        "path",
        "fill",
        "none",
        "stroke-width",
        "2",
        "stroke",
        COLOURS.get(i),
        "stroke-dasharray",
        DASHES.get(i),
        "d",
        path);
  }

  /** Where values of an axis lie, and which of them are named. */
  private record Scale(int begin, int end, boolean log, List<Double> ticks) {
    double place(double value) {
      DoubleUnaryOperator shape = log ? Math::log : v -> v;
      double first = shape.applyAsDouble(ticks.getFirst());
      double last = shape.applyAsDouble(ticks.getLast());
      double share = (shape.applyAsDouble(value) - first) / (last - first);
      return begin + share * (end - begin);
    }
  }

  private Scale scale(Axis axis, int coordinate, int begin, int end) {
    double least = Double.MAX_VALUE;
    double most = -Double.MAX_VALUE;
    for (Series line : series) {
      for (double[] point : line.points) {
        least = Math.min(least, point[coordinate]);
        most = Math.max(most, point[coordinate]);
      }
    }
    if (axis.logarithmic ? least <= 0 : least < 0) {
      throw new IllegalArgumentException(axis.label + ": " + least + " is not on the axis");
    }
    List<Double> ticks = axis.logarithmic ? decades(least, most) : evenly(most);
    return new Scale(begin, end, axis.logarithmic, ticks);
  }

  /** Powers of ten that enclose what there is; of few of them their doubles and fives as well. */
  private static List<Double> decades(double least, double most) {
    int first = (int) Math.floor(Math.log10(least) + 1e-9);
    int last = Math.max(first + 1, (int) Math.ceil(Math.log10(most) - 1e-9));
    List<Double> ticks = new ArrayList<>();
    for (int decade = first; decade < last; decade++) {
      ticks.add(Math.pow(10, decade));
      if (last - first < 3) {
        ticks.add(2 * Math.pow(10, decade));
        ticks.add(5 * Math.pow(10, decade));
      }
    }
    ticks.add(Math.pow(10, last));
    return ticks;
  }

  /** From zero to beyond the greatest, in four to eight steps of 1, 2 or 5 times a power of ten. */
  private static List<Double> evenly(double most) {
    double unit = Math.pow(10, Math.floor(Math.log10(Math.max(most, 1e-9))) - 1);
    double step = unit;
    for (double factor : new double[] {2, 5, 10, 20}) {
      step = most > 7.9 * step ? factor * unit : step;
    }
    double width = step;
    int steps = Math.max(1, (int) Math.ceil(most / width - 1e-9));
    return IntStream.rangeClosed(0, steps).mapToObj(i -> i * width).toList();
  }

  /** As people write it: 250, 10 k, 100 M, 0.05. */
  private static String number(double value) {
    String[] units = {"", " k", " M", " G"};
    int unit = 0;
    double shown = value;
    while (shown >= 1000 && unit < units.length - 1) {
      shown /= 1000;
      unit++;
    }
    String digits = String.format(Locale.ROOT, "%.3f", shown);
    return digits.replaceFirst("\\.?0+$", "") + units[unit];
  }

  private static void text(StringBuilder out, double x, double y, String how, String text) {
    out.append("<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" " + how + ">")
        .append(escape(text))
        .append("</text>\n");
  }

  private static void element(StringBuilder out, String name, String... attributes) {
    out.append('<').append(name);
    for (int i = 0; i < attributes.length; i += 2) {
      out.append(" " + attributes[i] + "=\"" + attributes[i + 1] + "\"");
    }
    out.append("/>\n");
  }

  private static String at(double place) {
    return String.format(Locale.ROOT, "%.1f", place);
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
