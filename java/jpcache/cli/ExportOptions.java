package jpcache.cli;

import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.base.OtherWriters;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.cache.CacheOptions;
import jpcache.cache.Durability;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * One cache and its backing device, and how they are served: options of {@code serve}, and keys of
 * the tables of its {@code --config} file.
 */
final class ExportOptions {
  private static final class Lanes extends WholeNumber {
    Lanes() {
      super(1, CacheOptions.MAX_LANES);
    }
  }

  private static final class DurabilityWord extends OneWord<Durability> {
    DurabilityWord() {
      super(Durability.class);
    }
  }

  /** The engine counts milliseconds. */
  private static final class AgeSeconds extends WholeNumber {
    AgeSeconds() {
      super(0, Integer.MAX_VALUE / 1000);
    }
  }

  private static final class DirtyPercent extends WholeNumber {
    DirtyPercent() {
      super(0, 100);
    }
  }

  @Option(
      names = "--cache",
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device.")
  @Nullable String cache;

  @Option(
      names = "--backing",
      paramLabel = "DEV",
      converter = DevicePath.class,
      description = "The backing device.")
  @Nullable String backing;

  @Option(
      names = "--create",
      paramLabel = "SIZE",
      converter = CacheSize.class,
      description = "Make the cache if its file does not exist: 512M or more.")
  private @Nullable Long create;

  @Option(
      names = "--description",
      paramLabel = "TEXT",
      description = "What clients are told that the export is.")
  private @Nullable String description;

  @Option(
      names = "--read-only",
      description =
          "Refuse writes of clients. What is dirty in the cache is written back all the same.")
  private boolean readOnly;

  @Option(
      names = "--durability",
      paramLabel = "ack|flush",
      converter = DurabilityWord.class,
      defaultValue = "ack",
      description =
          "When a write is durable: when it is answered (ack, the default), or after FLUSH, with"
              + " FUA or after a second (flush, as the kernel does).")
  private Durability durability;

  @Option(
      names = "--threads",
      paramLabel = "N",
      converter = Lanes.class,
      description = "How many segments are filled side by side; by default one for each processor.")
  private @Nullable Integer threads;

  @Option(
      names = "--dirty-age",
      paramLabel = "SECONDS",
      converter = AgeSeconds.class,
      defaultValue = "" + CacheOptions.DEFAULT_DIRTY_AGE_SECONDS,
      description =
          "Write data back when it has been dirty for so long; by default ${DEFAULT-VALUE}.")
  private int dirtyAge;

  @Option(
      names = "--dirty-percent",
      paramLabel = "N",
      converter = DirtyPercent.class,
      defaultValue = "" + CacheOptions.DEFAULT_DIRTY_PERCENT,
      description = "Or when it makes up so much of the cache; by default ${DEFAULT-VALUE}.")
  private int dirtyPercent;

  @Option(
      names = "--writeback-on-stop",
      description = "Write everything back before ending; otherwise it is left for the next time.")
  boolean writeBackOnStop;

  @Option(
      names = "--force",
      description =
          "Serve this backing device whatever the cache's label says, and label the cache for it.")
  private boolean force;

  @Mixin private CacheSettings settings;
  @Mixin private PmemOption pmem;
  @Mixin private BackingIo backingIo;
  @Mixin private ReadPolicy readPolicy;

  /**
   * Opens both devices and the engine.
   *
   * @param notice takes what the user should know
   */
  ServedCache open(Consumer<String> notice) {
    if (cache == null || backing == null) {
      throw new WrongUsage((cache == null ? "cache" : "backing") + " is missing");
    }
    return open(cache, create, backing, notice);
  }

  /** The same with other devices than the user's. */
  ServedCache open(
      String cachePath, @Nullable Long createBytes, String backingPath, Consumer<String> notice) {
    DevicePath.requireTwo(cachePath, backingPath);
    CacheOptions options = cacheOptions();
    tellOtherWriter(cachePath, notice);
    tellOtherWriter(backingPath, notice);
    BackingDevice device = BackingDevices.open(backingPath, backingIo.options());
    boolean make = createBytes != null && isMissing(cachePath);
    CheckedCache checked;
    try {
      checked = openCache(cachePath, createBytes, BackingLabel.of(device), notice);
    } catch (Throwable e) {
      device.close();
      throw e;
    }
    ServedCache served = ServedCache.open(checked.region, device, options).withFileOfOurs(make);
    tellKind(checked.region, notice);
    return served
        .withRelabelling(checked.relabel)
        .withDescription(description == null ? "jpcache of " + device.name() : description)
        .withReadOnly(readOnly)
        .withWriteBackOnStop(writeBackOnStop);
  }

  private CacheOptions cacheOptions() {
    CacheOptions options =
        readPolicy.apply(
            CacheOptions.defaults()
                .withDurability(durability)
                .withWriteBack(1000 * dirtyAge, dirtyPercent));
    return threads == null ? options : options.withLanes(threads);
  }

  /**
   * A cache that may be served.
   *
   * @param relabel makes it the device's
   */
  private record CheckedCache(PmemRegion region, Runnable relabel) {}

  private CheckedCache openCache(
      String path, @Nullable Long createBytes, BackingLabel label, Consumer<String> notice) {
    PmemRegion region = openOrCreate(path, createBytes, label);
    try {
      CacheInfo info = CacheMedia.read(region.name(), region.view()).info();
      settings.requireAgreement(path, info);
      return new CheckedCache(region, label.check(region, force, notice));
    } catch (Throwable e) {
      region.close();
      throw e;
    }
  }

  private PmemRegion openOrCreate(String path, @Nullable Long createBytes, BackingLabel label) {
    if (isMissing(path)) {
      if (createBytes == null) {
        throw new UserException(
            path
                + ": No such file or directory; `jpcache format` makes a cache, and so does"
                + " --create SIZE");
      }
      return new CacheMaker(settings, CacheInfo.GC_PERCENT_DEFAULT)
          .create(path, createBytes, pmem.binding, label.ofNewCache());
    }
    PmemRegion region = PmemFiles.open(path, pmem.binding);
    if (createBytes != null && createBytes != region.sizeBytes()) {
      long sizeBytes = region.sizeBytes();
      region.close();
      throw new UserException(
          String.format(
              "--create %s: the cache %s has %s",
              Sizes.format(createBytes), path, Sizes.format(sizeBytes)));
    }
    return region;
  }

  /** Whoever has locked it will be refused; of others the user should know. */
  private static void tellOtherWriter(String path, Consumer<String> notice) {
    OtherWriters.of(Path.of(path))
        .ifPresent(who ->
            notice.accept(
                path
                    + ": "
                    + who
                    + " has it open for writing, too, without a lock: what that writes and what"
                    + " is served destroy each other"));
  }

  private static boolean isMissing(String path) {
    return !Files.exists(Path.of(path), LinkOption.NOFOLLOW_LINKS);
  }

  private static void tellKind(PmemRegion region, Consumer<String> notice) {
    switch (region.kind()) {
      case REAL -> {}
      case EMULATED ->
          notice.accept(
              region.name()
                  + ": emulated persistent memory: a power cut loses it, a crash does not");
      case NOT_PMEM ->
          notice.accept(
              region.name()
                  + ": not persistent memory: every write goes through the kernel, slowly");
    }
    if (!region.guardsStores()) {
      notice.accept(
          region.name()
              + ": without native/libjpcache_jni.so beside jpcache.jar, a write to memory that is gone ends"
              + " the server");
    }
  }
}
