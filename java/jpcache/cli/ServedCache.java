package jpcache.cli;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.backing.BackingDevice;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.ReplayProgress;
import jpcache.nbd.Export;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.Prefault;
import org.jspecify.annotations.Nullable;

/**
 * One cache of a server: owns region, backing device, engine and its maintenance, and takes them
 * down in order, once no client uses it any more.
 */
final class ServedCache implements AutoCloseable {
  private static final Logger LOG = System.getLogger(ServedCache.class.getName());

  /** Write-back leaves its batch, but not the requests that are under way: 16 MiB and a key. */
  private static final long STOP_TIMEOUT_MS = 20_000;

  private final PmemRegion region;
  private final BackingDevice backing;
  private final Cache cache;
  private final MaintenanceThread maintenance;
  private @Nullable Prefault prefault;
  private Runnable relabel = () -> {};
  private String description;
  private boolean readOnly;
  private boolean writeBackOnStop;
  private boolean fileOfOurs;
  private boolean inUse;

  private ServedCache(PmemRegion region, BackingDevice backing, Cache cache) {
    this.region = region;
    this.backing = backing;
    this.cache = cache;
    this.description = "jpcache of " + backing.name();
    maintenance = MaintenanceThread.of(cache);
  }

  /**
   * Opens the cache; neither device is written until {@link #begin}, but for what a replay has to
   * repair in the cache. Takes region and backing device over, also when it fails.
   */
  static ServedCache open(PmemRegion region, BackingDevice backing, CacheOptions options) {
    try {
      return new ServedCache(
          region, backing, Cache.open(region, backing, options, progress(region.name())));
    } catch (Throwable e) {
      backing.close();
      region.close();
      throw e;
    }
  }

  private static ReplayProgress progress(String name) {
    return new ReplayProgress(
        System::nanoTime,
        keys ->
            System.err.println(
                Failures.oneLine("jpcache: " + name + ": replayed " + keys + " keys so far")));
  }

  /** What clients are told that it is. */
  ServedCache withDescription(String text) {
    description = text;
    return this;
  }

  ServedCache withReadOnly(boolean refuseWrites) {
    readOnly = refuseWrites;
    return this;
  }

  ServedCache withWriteBackOnStop(boolean wanted) {
    writeBackOnStop = wanted;
    return this;
  }

  /** Whether its file was made for it, and goes with it unless it is ever served. */
  ServedCache withFileOfOurs(boolean made) {
    fileOfOurs = made;
    return this;
  }

  /** What makes the cache its backing device's ({@link BackingLabel#check}). */
  ServedCache withRelabelling(Runnable writesLabel) {
    relabel = writesLabel;
    return this;
  }

  /** The cache under a name that clients ask for. */
  Export export(String name) {
    return new Export(name, description, cache, readOnly);
  }

  String cachePath() {
    return region.name();
  }

  String backingPath() {
    return backing.name();
  }

  Cache cache() {
    return cache;
  }

  /** Whether clients' writes are refused. */
  boolean readOnly() {
    return readOnly;
  }

  long sizeBytes() {
    return cache.sizeBytes();
  }

  /** Nothing else can fail any more: the cache becomes this device's, and write-back begins. */
  void begin() {
    relabel.run();
    maintenance.begin();
  }

  /** Clients can connect: what is not needed for that begins. */
  void prefault() {
    prefault = Prefault.start(region);
  }

  /** Requests that wait for room do so no longer: a stop begins. */
  void stopWaiting() {
    cache.stopWaiting();
  }

  /**
   * Clients are gone.
   *
   * @param answered false if some of their requests are still under way
   */
  void stopMaintenance(boolean answered) {
    inUse |= !(maintenance.stop(STOP_TIMEOUT_MS) && answered);
  }

  /** Writes everything back, if that is wanted at the end and nothing is under way. */
  void writeBackIfWanted() {
    if (!writeBackOnStop) {
      return;
    }
    if (inUse) {
      throw new UserException(
          "backing "
              + backing.name()
              + ": requests did not end in time: nothing was written back at the end; the cache"
              + " keeps it for the next time");
    }
    int errno = cache.maintenance().writeBackAll();
    if (errno != 0) {
      throw new UserException(
          "backing "
              + backing.name()
              + ": "
              + Errno.text(errno)
              + ": not everything could be written back; the cache keeps it for the next time");
    }
  }

  /** Gives everything up where no client has come yet, a file that was made for it included. */
  void abandon() {
    stopWaiting();
    stopMaintenance(true);
    if (fileOfOurs) {
      removeFile();
    }
    close();
  }

  private void removeFile() {
    try {
      Files.deleteIfExists(Path.of(region.name()));
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0}: cannot be removed: {1}", region.name(), e.getMessage());
    }
  }

  /** After {@link #stopMaintenance}. */
  @Override
  public void close() {
    if (prefault != null) {
      prefault.close();
    }
    cache.close();
    if (inUse) {
      // Threads may still use the mapping: the end of the process will undo it.
      LOG.log(Level.WARNING, "{0}: stopped with requests under way", backing.name());
    } else {
      backing.close();
      region.close();
    }
  }
}
