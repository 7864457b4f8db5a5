package jpcache.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.base.Sizes;
import jpcache.cache.CacheOptions;
import jpcache.cache.Durability;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code jpcache serve}. */
@Command(
    name = "serve",
    description = {
      "Serve a cache and its backing device over NBD until SIGTERM or SIGINT.",
      "Without options: a demonstration on a cache that is made for it and removed with it."
    })
final class ServeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--cache", paramLabel = "PATH", description = "The cache device.")
  private @Nullable String cache;

  @Option(names = "--backing", paramLabel = "DEV", description = "The backing device.")
  private @Nullable String backing;

  @Option(
      names = "--listen",
      paramLabel = "URI",
      description =
          "nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH; may be given several times."
              + " Default: nbd://127.0.0.1:10809/")
  private List<String> listen = List.of();

  @Option(
      names = "--insecure",
      description = "Allow to listen where other machines can connect: nothing is encrypted.")
  private boolean insecure;

  @Option(
      names = "--export",
      paramLabel = "NAME",
      defaultValue = "",
      description = "The name of the export; by default the empty one.")
  private String export;

  @Option(
      names = "--create",
      paramLabel = "SIZE",
      converter = SizeConverter.class,
      description = "Make the cache if its file does not exist: 512M or more.")
  private @Nullable Long create;

  @Option(
      names = "--durability",
      paramLabel = "ack|flush",
      defaultValue = "ACK",
      description =
          "When a write is durable: when it is answered (ack, the default), or after FLUSH, with"
              + " FUA or after a second (flush, as the kernel does).")
  private Durability durability;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "How many segments are filled side by side; by default one for each processor.")
  private @Nullable Integer threads;

  @Option(
      names = "--dirty-age",
      paramLabel = "SECONDS",
      defaultValue = "5",
      description = "Write data back when it has been dirty for so long; by default 5.")
  private int dirtyAge;

  @Option(
      names = "--dirty-percent",
      paramLabel = "N",
      defaultValue = "25",
      description = "Or when it makes up so much of the cache; by default 25.")
  private int dirtyPercent;

  @Option(
      names = "--writeback-on-stop",
      description = "Write everything back before ending; otherwise it is left for the next time.")
  private boolean writeBackOnStop;

  @Option(
      names = "--force",
      description =
          "Serve this backing device whatever the cache's label says, and label the cache for it.")
  private boolean force;

  @Mixin private Oversight.Options oversight;
  @Mixin private CacheSettings settings;
  @Mixin private PmemOption pmem;
  @Mixin private BackingIo backingIo;
  @Mixin private ReadPolicy readPolicy;

  /** What the user should know; told once it serves, since a failure is one line alone. */
  private final List<String> notices = new ArrayList<>();

  @Override
  public Integer call() {
    boolean demonstrate = cache == null && backing == null && listen.isEmpty();
    if (!demonstrate && (cache == null || backing == null)) {
      throw new ParameterException(
          spec.commandLine(), "--cache and --backing are both needed (or neither)");
    }
    try (StopSignal stop = new StopSignal()) {
      if (cache != null && backing != null) {
        serve(cache, backing, stop);
      } else {
        demonstrate(stop);
      }
      stop.succeeded();
    }
    return ExitCode.OK;
  }

  private void serve(String cachePath, String backingPath, StopSignal stop) {
    List<NbdUri> addresses =
        listen.isEmpty()
            ? List.of(NbdUri.defaultListen())
            : listen.stream().map(NbdUri::parse).toList();
    try (Serving serving = start(cachePath, create, backingPath, addresses);
        Oversight _ = Oversight.start(serving, stop, oversight, insecure, this::notice)) {
      ready(serving);
      stop.await();
      if (writeBackOnStop) {
        serving.stopAndWriteBack();
      }
    }
  }

  private void demonstrate(StopSignal stop) {
    try (Demonstration made = Demonstration.make();
        Serving serving =
            start(
                made.cache().toString(),
                Demonstration.CACHE_BYTES,
                made.backing().toString(),
                List.of(NbdUri.unix(made.socket().toString(), "")));
        Oversight _ = Oversight.start(serving, stop, oversight, insecure, this::notice)) {
      String uri = serving.addresses().getFirst().toString();
      PrintWriter out = spec.commandLine().getOut();
      out.println("A demonstration in " + made.directory() + ", gone when this ends. Try:");
      out.println("  nbdinfo '" + uri + "'");
      out.println(
          "  fio --name=demo --ioengine=nbd --uri='"
              + uri
              + "' --rw=randrw --bs=4k --iodepth=32 --size=64M");
      ready(serving);
      stop.await();
    }
  }

  private Serving start(
      String cachePath, @Nullable Long createBytes, String backingPath, List<NbdUri> addresses) {
    CacheOptions options = cacheOptions();
    BackingDevice device = BackingDevices.open(backingPath, backingIo.options());
    PmemRegion region;
    try {
      region = openCache(cachePath, createBytes, BackingLabel.of(device));
    } catch (Throwable e) {
      device.close();
      throw e;
    }
    Serving serving =
        Serving.start(
            region,
            device,
            options,
            NbdServerOptions.defaults().withListen(addresses).withInsecure(insecure),
            Serving.exportNames(export, addresses));
    tellKind(region);
    return serving;
  }

  private CacheOptions cacheOptions() {
    CacheOptions options =
        readPolicy.apply(
            CacheOptions.defaults()
                .withDurability(durability)
                .withWriteBack(1000 * dirtyAge, dirtyPercent));
    if (threads == null) {
      return options;
    }
    if (threads < 1 || threads > CacheOptions.MAX_LANES) {
      throw new ParameterException(
          spec.commandLine(), "--threads " + threads + ": not 1 to " + CacheOptions.MAX_LANES);
    }
    return options.withLanes(threads);
  }

  private PmemRegion openCache(String path, @Nullable Long createBytes, BackingLabel label) {
    PmemRegion region = openOrCreate(path, createBytes, label);
    try {
      CacheInfo info = CacheMedia.read(region.name(), region.view()).info();
      settings.requireAgreement(path, info);
      label.check(region, force, this::notice);
      return region;
    } catch (Throwable e) {
      region.close();
      throw e;
    }
  }

  private PmemRegion openOrCreate(String path, @Nullable Long createBytes, BackingLabel label) {
    if (createBytes != null && !Files.exists(Path.of(path), LinkOption.NOFOLLOW_LINKS)) {
      return new CacheMaker(settings, CacheInfo.GC_PERCENT_DEFAULT)
          .create(path, createBytes, pmem.binding, label.ofNewCache());
    }
    PmemRegion region = PmemFiles.open(path, pmem.binding);
    if (createBytes != null && createBytes != region.sizeBytes()) {
      long sizeBytes = region.sizeBytes();
      region.close();
      throw new ParameterException(
          spec.commandLine(),
          String.format(
              "--create %s: the cache %s exists with %s",
              Sizes.format(createBytes), path, Sizes.format(sizeBytes)));
    }
    return region;
  }

  private void tellKind(PmemRegion region) {
    switch (region.kind()) {
      case REAL -> {}
      case EMULATED ->
          notice(
              region.name()
                  + ": emulated persistent memory: a power cut loses it, a crash does not");
      case NOT_PMEM ->
          notice(
              region.name()
                  + ": not persistent memory: every write goes through the kernel, slowly");
    }
  }

  private void notice(String text) {
    notices.add(text);
  }

  private void ready(Serving serving) {
    PrintWriter err = spec.commandLine().getErr();
    notices.forEach(notice -> err.println(Failures.oneLine("jpcache: " + notice)));
    err.flush();
    PrintWriter out = spec.commandLine().getOut();
    out.println("READY " + serving.addresses().getFirst() + " size=" + serving.sizeBytes());
    out.flush();
  }
}
