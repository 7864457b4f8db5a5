package jpcache.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.Label;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code jpcache format}. */
@Command(
    name = "format",
    description =
        "Make an empty cache on a file on fsdax, a devdax device, a block device such as the"
            + " kernel's /dev/pmem0, or an image file.")
final class FormatCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--cache",
      required = true,
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device, or a file that is to be made.")
  private String cache;

  @Option(
      names = "--size",
      paramLabel = "SIZE",
      converter = CacheSize.class,
      description = "The size of a file that is to be made: 512M or more.")
  private @Nullable Long size;

  @Option(
      names = "--gc-percent",
      paramLabel = "N",
      converter = GcPercent.class,
      defaultValue = "" + CacheInfo.GC_PERCENT_DEFAULT,
      description = "Collect garbage above this share of used segments: 0 to 90, by default 70.")
  private int gcPercent;

  @Option(
      names = "--backing",
      paramLabel = "DEV",
      converter = DevicePath.class,
      description = "The backing device that the cache is for: serve then refuses any other.")
  private @Nullable String backing;

  @Mixin private CacheSettings settings;
  @Mixin private PmemOption pmem;
  @Mixin private JsonOption output;

  @Option(
      names = "--force",
      description = "Throw away what is there, dirty data of a cache and all.")
  private boolean force;

  @Override
  public Integer call() {
    CacheMaker maker = new CacheMaker(settings, gcPercent);
    try (PmemRegion region = make(maker, label())) {
      CacheInfo info = CacheMedia.read(region.name(), region.view()).info();
      show(info, region.sizeBytes());
      String notice =
          CacheSettings.kernelNotice(cache, info.mode(), Shell.option("--cache", Path.of(cache)));
      if (notice != null) {
        spec.commandLine().getErr().println(Failures.oneLine("jpcache: " + notice));
      }
    }
    return ExitCode.OK;
  }

  private void show(CacheInfo info, long sizeBytes) {
    output.show(
        spec,
        "format",
        json -> {
          json.value("cache", cache);
          json.value("size_bytes", sizeBytes);
          json.value("segments", info.segments());
          json.value("mode", info.mode().toString());
          json.value("data_crc", info.dataCrc());
          json.value("gc_percent", info.gcPercent());
        });
    if (!output.json) {
      PrintWriter out = spec.commandLine().getOut();
      out.printf(
          "%s: an empty cache of %s, %d segments, %s, data crc %s%n",
          cache,
          Sizes.format(sizeBytes),
          info.segments(),
          info.mode(),
          info.dataCrc() ? "on" : "off");
    }
  }

  private @Nullable Label label() {
    if (backing == null) {
      return null;
    }
    DevicePath.requireTwo(cache, backing);
    try (BackingDevice device = BackingDevices.open(backing, BackingOptions.forReading())) {
      return BackingLabel.of(device).ofNewCache();
    }
  }

  private PmemRegion make(CacheMaker maker, @Nullable Label label) {
    if (!Files.exists(Path.of(cache), LinkOption.NOFOLLOW_LINKS)) {
      if (size == null) {
        throw new UserException(cache + ": does not exist; give --size SIZE to have it made");
      }
      return maker.create(cache, size, pmem.binding, label);
    }
    return maker.format(cache, size, force, pmem.binding, label);
  }
}
