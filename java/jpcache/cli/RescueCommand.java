package jpcache.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.Sizes;
import jpcache.media.CacheMedia;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.tools.JsonOutline;
import jpcache.tools.rescue.Rescue;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code jpcache rescue}. */
@Command(
    name = "rescue",
    description =
        "Bring all dirty data to the backing device offline, and mark it clean. Can be stopped at"
            + " any moment and run again.")
final class RescueCommand implements Callable<Integer> {
  private static final long PROGRESS_NANOS = 1_000_000_000;

  @Spec private CommandSpec spec;

  @Option(
      names = "--cache",
      required = true,
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device.")
  private String cache;

  @Option(
      names = "--backing",
      required = true,
      paramLabel = "DEV",
      converter = DevicePath.class,
      description = "The backing device.")
  private String backing;

  @Option(names = "--dry-run", description = "Say what would be done; change nothing.")
  private boolean dryRun;

  @Option(
      names = "--force",
      description = "Write data that its checksum does not fit as well, in place of stopping.")
  private boolean force;

  @Option(
      names = "--other-device",
      description = "Write to this device even if the cache's label names another one.")
  private boolean otherDevice;

  @Option(
      names = "--skip-unreadable",
      description =
          "Give up data that cannot be read (poisoned memory), in place of stopping: the backing"
              + " device keeps what it has there.")
  private boolean skipUnreadable;

  @Mixin private JsonOption output;
  @Mixin private PmemOption pmem;

  private long nextProgress;

  // How far it is; read by the thread that tells so when it is interrupted.
  private volatile long doneKsets;
  private volatile long allKsets;

  @Override
  public Integer call() {
    DevicePath.requireTwo(cache, backing);
    if (dryRun) {
      try (ReadOnlyMapping mapping = ReadOnlyMapping.open(cache);
          BackingDevice device = BackingDevices.open(backing, BackingOptions.forReading())) {
        show(rescue(CacheMedia.read(cache, mapping.view()), device).dryRun());
      }
    } else {
      try (PmemRegion region = PmemFiles.openOffline(cache, pmem.binding);
          BackingDevice device = BackingDevices.open(backing, BackingOptions.readWrite())) {
        show(runAndTellIfInterrupted(region, device));
      }
    }
    return ExitCode.OK;
  }

  /** A signal ends the process wherever it is, which loses nothing; the user should know that. */
  private Rescue.Summary runAndTellIfInterrupted(PmemRegion region, BackingDevice device) {
    Thread interrupted =
        new Thread(
            () -> notice("rescue was interrupted: " + reached() + "; run it again to go on"),
            "interrupted");
    Runtime.getRuntime().addShutdownHook(interrupted);
    try {
      return rescue(CacheMedia.read(cache, region.view()), device).run(region);
    } finally {
      try {
        Runtime.getRuntime().removeShutdownHook(interrupted);
      } catch (IllegalStateException e) {
        // It is running.
      }
    }
  }

  private Rescue rescue(CacheMedia media, BackingDevice device) {
    if (!otherDevice) {
      BackingLabel.of(device).refuseOther(cache, media.view(), "--other-device", this::notice);
    }
    nextProgress = System.nanoTime() + PROGRESS_NANOS;
    return new Rescue(
        media,
        device,
        new Rescue.Options(force, skipUnreadable, Rescue.BATCH_KSETS),
        this::notice,
        this::progress);
  }

  private void notice(String line) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("jpcache: " + line);
    err.flush();
  }

  private void progress(long ksets, long ofKsets) {
    doneKsets = ksets;
    allKsets = ofKsets;
    if (System.nanoTime() - nextProgress >= 0) {
      notice(reached());
      nextProgress = System.nanoTime() + PROGRESS_NANOS;
    }
  }

  private String reached() {
    long all = allKsets;
    return all == 0 ? "nothing is written yet" : doneKsets + " of " + all + " key sets are done";
  }

  private void show(Rescue.Summary summary) {
    PrintWriter out = spec.commandLine().getOut();
    if (output.json) {
      JsonOutline json = new JsonOutline(out);
      json.begin("rescue");
      json.value("cache", cache);
      json.value("backing", backing);
      json.value("dry_run", dryRun);
      json.value("ksets", summary.ksets());
      json.value("keys", summary.keys());
      json.value("bytes", summary.bytes());
      json.value("skipped_bytes", summary.skippedBytes());
      json.end();
    } else {
      out.printf(
          "%s: %d key sets with %d keys: %s %s to %s%s%n",
          cache,
          summary.ksets(),
          summary.keys(),
          Sizes.format(summary.bytes() - summary.skippedBytes()),
          dryRun ? "would be written" : "written",
          backing,
          summary.skippedBytes() == 0
              ? ""
              : ", " + Sizes.format(summary.skippedBytes()) + " given up");
    }
    out.flush();
  }
}
