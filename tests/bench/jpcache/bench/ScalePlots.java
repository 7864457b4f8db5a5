package jpcache.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.support.Plot;
import jpcache.support.Plot.Axis;

/**
 * Draws what {@code ci/scale} has measured: {@code ScalePlots TSV DIRECTORY}. The lines of the file
 * are {@link ScaleBench}'s behind the word {@code extents}, and behind {@code connections} their
 * number, then operations a second and microseconds of CPU for each: of reads, of writes.
 */
public final class ScalePlots {
  private static final Axis EXTENTS = new Axis("extents of 4 KiB", true);
  private static final Axis CONNECTIONS =
      new Axis("connections, 8 requests under way on each", true);

  private final Path directory;
  private final List<double[]> extents = new ArrayList<>();
  private final List<double[]> connections = new ArrayList<>();

  private ScalePlots(Path directory) {
    this.directory = directory;
  }

  public static void main(String[] args) throws IOException {
    ScalePlots plots = new ScalePlots(Path.of(args[1]));
    for (String line : Files.readAllLines(Path.of(args[0]))) {
      plots.read(line.split("\t", -1));
    }
    plots.draw();
  }

  private void read(String[] fields) {
    double[] values = new double[fields.length - 1];
    for (int i = 0; i < values.length; i++) {
      values[i] = Double.parseDouble(fields[i + 1]);
    }
    (fields[0].equals("extents") ? extents : connections).add(values);
  }

  private void draw() throws IOException {
    write(
        "operations",
        new Plot("4 KiB at random places, one thread", EXTENTS, new Axis("ns an operation", false))
            .add("read hit", columns(extents, 0, 4))
            .add("copy alone", columns(extents, 0, 5))
            .add("write", columns(extents, 0, 6))
            .add("persist alone", columns(extents, 0, 7)));
    write(
        "memory",
        new Plot("The index in the heap", EXTENTS, new Axis("bytes an extent", false))
            .add("heap", columns(extents, 0, 3)));
    write(
        "replay",
        new Plot(
                "Opening a cache: its log is replayed",
                new Axis("ksets of ten keys", true),
                new Axis("seconds", true))
            .add("open", columns(extents, 1, 2)));
    write(
        "connections",
        new Plot("4 KiB over NBD", CONNECTIONS, new Axis("operations a second", false))
            .add("read hits", columns(connections, 0, 1))
            .add("writes", columns(connections, 0, 3)));
    write(
        "cpu",
        new Plot(
                "The server's CPU time, 4 KiB over NBD",
                CONNECTIONS,
                new Axis("us an operation", false))
            .add("read hits", columns(connections, 0, 2))
            .add("writes", columns(connections, 0, 4)));
  }

  private static List<double[]> columns(List<double[]> rows, int x, int y) {
    return rows.stream().map(row -> new double[] {row[x], row[y]}).toList();
  }

  private void write(String name, Plot plot) throws IOException {
    Files.writeString(directory.resolve("scale-" + name + ".svg"), plot.svg());
  }
}
