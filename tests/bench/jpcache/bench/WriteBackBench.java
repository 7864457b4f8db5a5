package jpcache.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.cache.Drain;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;

/**
 * Write-back to a file beside fio: {@code WriteBackBench CACHE BACKING MIB ROUNDS FIO_OPTIONS...}.
 * Fills a cache with so many MiB in blocks of 4 KiB, times how long {@code jpcache flush} would
 * take, and then how long fio takes to bring as much to the same file past the page cache, sorted
 * in batches of 16 MiB, with an fdatasync behind each: blocks of 4 KiB all over the device where
 * ours were written at random, 1 MiB at a time where they adjoin. In turn, so that what the machine
 * does besides hits both.
 *
 * <p>CACHE is made; BACKING exists, is larger than that and has all of its blocks. The ratios are
 * fio's time over ours; the first rounds, in which the JIT is at work, are shown with negative
 * numbers and not counted.
 */
public final class WriteBackBench {
  private static final int BLOCK = 4096;
  private static final int COMMIT = 32;

  /** As large as write-back makes its batches. */
  private static final int BATCH_BYTES = 16 << 20;

  private static final int BATCH_BLOCKS = BATCH_BYTES / BLOCK;

  /** And its requests, where blocks adjoin. */
  private static final int MERGED_BYTES = 1 << 20;

  /** A server that has run for minutes has compiled what it needs. */
  private static final int WARM_UP_ROUNDS = 4;

  private static final Pattern RUNTIME_MS = Pattern.compile("\"job_runtime\" : (\\d+)");

  private static final Completion DONE =
      errno -> {
        if (errno != 0) {
          throw new IllegalStateException("error " + errno);
        }
      };

  private final String backingPath;
  private final int blocks;
  private final List<String> fioOptions;

  private WriteBackBench(String backingPath, int blocks, List<String> fioOptions) {
    this.backingPath = backingPath;
    this.blocks = blocks;
    this.fioOptions = fioOptions;
  }

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws IOException, InterruptedException {
    int mib = Integer.parseInt(args[2]);
    int rounds = Integer.parseInt(args[3]);
    List<String> fioOptions = List.of(args).subList(4, args.length);
    WriteBackBench bench = new WriteBackBench(args[1], (mib << 20) / BLOCK, fioOptions);
    long cacheBytes = ((4L * mib) << 20) + (512L << 20);
    try (PmemRegion region = PmemFiles.create(args[0], cacheBytes, null)) {
      System.out.println("pattern     round  write-back MB/s  us CPU/4K  fio MB/s  ratio");
      for (boolean random : new boolean[] {true, false}) {
        double[] ratios = new double[rounds];
        for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
          double ratio = bench.round(region, random, round);
          ratios[Math.max(0, round)] = ratio; // of the first ones nothing stays
        }
        Arrays.sort(ratios);
        System.out.printf(
            Locale.ROOT,
            "%-10s  median of %d: %.2f (%.2f to %.2f)%n",
            name(random),
            rounds,
            ratios[rounds / 2],
            ratios[0],
            ratios[rounds - 1]);
      }
    }
  }

  private static String name(boolean random) {
    return random ? "random" : "sequential";
  }

  /** Fills, drains, has fio do the same; returns fio's time over ours. */
  @SuppressWarnings("SystemOut")
  private double round(PmemRegion region, boolean random, int round)
      throws IOException, InterruptedException {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 90);
    double seconds;
    double cpuMicros;
    long deviceBytes;
    try (BackingDevice backing = BackingDevices.open(backingPath, BackingOptions.readWrite())) {
      deviceBytes = backing.sizeBytes();
      CacheOptions options =
          CacheOptions.defaults().withLanes(1).withWriteBack(Integer.MAX_VALUE, 100);
      Cache cache = Cache.open(region, backing, options);
      fill(cache, order(random, (int) (deviceBytes / BLOCK), round));
      long cpu = cpuNanos();
      long begin = System.nanoTime();
      drain(cache);
      seconds = (System.nanoTime() - begin) / 1e9;
      cpuMicros = (cpuNanos() - cpu) / 1e3 / blocks;
      cache.close();
    }
    double fioSeconds = fio(random, deviceBytes);
    double megabytes = (double) blocks * BLOCK / 1e6;
    System.out.printf(
        Locale.ROOT,
        "%-10s  %5d  %15.0f  %9.2f  %8.0f  %5.2f%n",
        name(random),
        round,
        megabytes / seconds,
        cpuMicros,
        megabytes / fioSeconds,
        fioSeconds / seconds);
    return fioSeconds / seconds;
  }

  /** Different blocks of the device, in the order in which a client writes them. */
  private int[] order(boolean random, int deviceBlocks, int seed) {
    int[] all = IntStream.range(0, random ? deviceBlocks : blocks).toArray();
    SplittableRandom numbers = new SplittableRandom(seed);
    for (int i = 0; random && i < blocks; i++) {
      int j = i + numbers.nextInt(deviceBlocks - i);
      int block = all[j];
      all[j] = all[i];
      all[i] = block;
    }
    return Arrays.copyOf(all, blocks);
  }

  private static void fill(Cache cache, int[] order) {
    try (Arena arena = Arena.ofConfined();
        BlockQueue queue = cache.openQueue()) {
      MemorySegment data = arena.allocate(BLOCK, BLOCK).fill((byte) 0x5A);
      for (int i = 0; i < order.length; i++) {
        queue.write((long) order[i] * BLOCK, BLOCK, data.address(), false, DONE);
        if (i % COMMIT == COMMIT - 1) {
          queue.commit();
        }
      }
      queue.commit();
    }
  }

  /** As the server does it when it is asked for a flush. */
  private static void drain(Cache cache) {
    Drain drain = cache.drain();
    while (!drain.hasEnded()) {
      LockSupport.parkNanos(cache.maintenance().step(System.nanoTime()));
    }
    DONE.complete(drain.errno());
  }

  /**
   * Runs fio over the same file; returns the seconds that it took between its first and last call.
   * As in our batches its blocks are spread over all of the device, or adjoin, and are one request
   * then.
   */
  private double fio(boolean random, long deviceBytes) throws IOException, InterruptedException {
    long gap = deviceBytes / BATCH_BLOCKS - BLOCK;
    List<String> command =
        new ArrayList<>(
            List.of(
                "fio",
                "--name=same",
                "--filename=" + backingPath,
                "--size=" + deviceBytes,
                "--io_size=" + (long) blocks * BLOCK,
                "--direct=1",
                "--output-format=json",
                "--rw=write" + (random ? ":" + gap : ""),
                "--bs=" + (random ? BLOCK : MERGED_BYTES),
                "--fdatasync=" + (random ? BATCH_BLOCKS : BATCH_BYTES / MERGED_BYTES)));
    command.addAll(fioOptions);
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    Matcher runtime = RUNTIME_MS.matcher(output);
    if (process.waitFor() != 0 || !runtime.find()) {
      throw new IOException("fio: " + output.lines().findFirst().orElse("it said nothing"));
    }
    return Integer.parseInt(runtime.group(1)) / 1e3;
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
