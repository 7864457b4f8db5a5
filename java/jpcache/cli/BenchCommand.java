package jpcache.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.tools.JsonOutline;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code jpcache bench}: tells what {@link EngineTrial} measures, as medians of some rounds. */
@Command(
    name = "bench",
    description =
        "Measure the engine beside the raw limit of this machine's memory: random writes and read"
            + " hits of 4 KiB and 64 KiB, on one thread and on several. Everything that is on by"
            + " default is on: each batch of 32 writes is durable, and write-back runs (into a"
            + " device that takes all at once).")
final class BenchCommand implements Callable<Integer> {
  private static final int[] BLOCKS_BYTES = {4 << 10, 64 << 10};

  /** Rounds that are not counted: the compiler is at work. */
  private static final int WARM_UP_ROUNDS = 3;

  private static final long MIN_CACHE_BYTES = 512L << 20;

  @Spec private CommandSpec spec;

  @Option(
      names = "--directory",
      paramLabel = "DIR",
      defaultValue = "/dev/shm",
      description =
          "Where the cache is made, and removed afterwards: a directory on fsdax to measure"
              + " persistent memory; by default /dev/shm, which emulates it.")
  private Path directory;

  @Option(
      names = "--size",
      paramLabel = "SIZE",
      converter = SizeConverter.class,
      defaultValue = "2G",
      description = "The size of that cache; by default 2G.")
  private long sizeBytes;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "9",
      description = "How often everything is measured; medians are shown; by default 9.")
  private int rounds;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of the second half; by default one for each processor.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(names = "--data-crc", description = "Measure a cache with checksums of its data.")
  private boolean dataCrc;

  @Mixin private PmemOption pmem;
  @Mixin private JsonOption output;

  /** A line of the result, and what each round gave for it. */
  private record Row(EngineTrial.Work work, int blockBytes, int threads, List<Double> nanos) {
    double medianNanos() {
      return nanos.stream().sorted().skip(nanos.size() / 2).findFirst().orElse(Double.NaN);
    }
  }

  @Override
  public Integer call() {
    require(rounds >= 1, "--rounds " + rounds + ": not 1 or more");
    require(threads >= 1 && threads <= 64, "--threads " + threads + ": not 1 to 64");
    require(
        sizeBytes >= MIN_CACHE_BYTES,
        "--size "
            + Sizes.format(sizeBytes)
            + ": not "
            + Sizes.format(MIN_CACHE_BYTES)
            + " or more");
    List<Row> rows = new ArrayList<>();
    Path scratch = freshDirectory();
    Path file = scratch.resolve("cache.pmem");
    // For when it is interrupted; otherwise nothing is left by then.
    Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(file, scratch)));
    try (PmemRegion region = PmemFiles.create(file.toString(), sizeBytes, pmem.binding)) {
      for (int count : threads == 1 ? new int[] {1} : new int[] {1, threads}) {
        for (int blockBytes : BLOCKS_BYTES) {
          rows.addAll(measure(region, blockBytes, count));
        }
      }
    } finally {
      remove(file, scratch);
    }
    show(rows);
    return ExitCode.OK;
  }

  private void require(boolean holds, String complaint) {
    if (!holds) {
      throw new ParameterException(spec.commandLine(), complaint);
    }
  }

  private Path freshDirectory() {
    try {
      return Files.createTempDirectory(directory, "jpcache-bench-");
    } catch (IOException e) {
      throw new UserException(directory + ": no directory can be made there: " + e.getMessage(), e);
    }
  }

  private static void remove(Path file, Path scratch) {
    try {
      Files.deleteIfExists(file);
      Files.deleteIfExists(scratch);
    } catch (IOException e) {
      throw new UserException(scratch + ": cannot be removed: " + e.getMessage(), e);
    }
  }

  private List<Row> measure(PmemRegion region, int blockBytes, int count) {
    List<Row> rows = new ArrayList<>();
    for (EngineTrial.Work work : EngineTrial.Work.values()) {
      rows.add(new Row(work, blockBytes, count, new ArrayList<>()));
    }
    try (EngineTrial trial = new EngineTrial(region, blockBytes, count, dataCrc)) {
      for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
        Map<EngineTrial.Work, Double> nanos = trial.round(round);
        if (round >= 0) {
          nanos.forEach((work, time) ->
              rows.stream().filter(r -> r.work == work).forEach(r -> r.nanos.add(time)));
        }
      }
    }
    return rows;
  }

  private void show(List<Row> rows) {
    PrintWriter out = spec.commandLine().getOut();
    if (output.json) {
      showJson(rows, new JsonOutline(out));
      return;
    }
    out.println("threads  block  work                     ns/op       ops/s     GB/s  of raw");
    for (Row row : rows) {
      double nanos = row.medianNanos();
      double perSecond = row.threads * 1e9 / nanos;
      double share = shareOfRaw(row, rows);
      out.println(
          String.format(
                  Locale.ROOT,
                  "%7d  %4dK  %-20s  %8.0f  %10.0f  %7.2f  %s",
                  row.threads,
                  row.blockBytes >> 10,
                  row.work.title,
                  nanos,
                  perSecond,
                  perSecond * row.blockBytes / 1e9,
                  Double.isNaN(share) ? "" : String.format(Locale.ROOT, "%6.2f", share))
              .stripTrailing());
    }
  }

  private void showJson(List<Row> rows, JsonOutline out) {
    out.begin("bench");
    out.value("cacheBytes", sizeBytes);
    out.value("rounds", rounds);
    out.value("dataCrc", dataCrc);
    out.beginList("rows");
    for (Row row : rows) {
      out.begin("row");
      out.value("threads", row.threads);
      out.value("blockBytes", row.blockBytes);
      out.value("work", row.work.title);
      out.value("nanosPerOperation", Math.round(row.medianNanos()));
      double share = shareOfRaw(row, rows);
      if (!Double.isNaN(share)) {
        out.value("ofRawPercent", Math.round(100 * share));
      }
      out.end();
    }
    out.endList();
    out.end();
  }

  /** The raw time over this one, on as many threads; NaN for what is raw itself. */
  private static double shareOfRaw(Row row, List<Row> rows) {
    EngineTrial.Work raw = row.work.raw;
    return raw == null
        ? Double.NaN
        : rows.stream()
            .filter(
                r -> r.work == raw && r.blockBytes == row.blockBytes && r.threads == row.threads)
            .mapToDouble(r -> r.medianNanos() / row.medianNanos())
            .findFirst()
            .orElse(Double.NaN);
  }
}
