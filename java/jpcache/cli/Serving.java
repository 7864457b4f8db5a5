package jpcache.cli;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import jpcache.backing.BackingDevice;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.metrics.Registry;
import jpcache.nbd.Export;
import jpcache.nbd.NbdServer;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.PmemRegion;

/**
 * A cache that is being served: owns region, backing device, engine and NBD server, and takes them
 * down in order.
 */
final class Serving implements AutoCloseable {
  private static final Logger LOG = System.getLogger(Serving.class.getName());

  private static final long STOP_TIMEOUT_MS = 5_000;

  private final PmemRegion region;
  private final BackingDevice backing;
  private final Cache cache;
  private final NbdServer server;
  private final MaintenanceThread maintenance;

  private Serving(PmemRegion region, BackingDevice backing, Cache cache, NbdServer server) {
    this.region = region;
    this.backing = backing;
    this.cache = cache;
    this.server = server;
    maintenance = MaintenanceThread.start(cache);
  }

  /**
   * Opens the cache and starts to serve it; clients can connect when this returns. Takes region and
   * backing device over, also when it fails.
   *
   * @param exportNames what clients may ask for; the first is also the default export
   */
  static Serving start(
      PmemRegion region,
      BackingDevice backing,
      CacheOptions cacheOptions,
      NbdServerOptions serverOptions,
      Set<String> exportNames) {
    try {
      Cache cache = Cache.open(region, backing, cacheOptions);
      List<Export> exports =
          exportNames.stream()
              .map(name -> new Export(name, "jpcache of " + backing.name(), cache, false))
              .toList();
      NbdServer server = NbdServer.start(serverOptions, exports);
      return new Serving(region, backing, cache, server);
    } catch (Throwable e) {
      backing.close();
      region.close();
      throw e;
    }
  }

  /** The names of the exports that these addresses and an option ask for. */
  static Set<String> exportNames(String option, List<NbdUri> listen) {
    Set<String> names = new LinkedHashSet<>();
    names.add(option);
    listen.forEach(address -> names.add(address.exportName()));
    return names;
  }

  /** Where it listens, with the ports that the system chose. */
  List<NbdUri> addresses() {
    return server.addresses();
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

  /** Has what server and cache count shown by a registry. */
  void register(Registry registry) {
    server.register(registry);
    cache.register(registry);
  }

  long sizeBytes() {
    return cache.sizeBytes();
  }

  /** Stops to serve and writes everything back; {@link #close} follows. */
  void stopAndWriteBack() {
    if (stop()) {
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
  }

  private boolean stop() {
    cache.stopWaiting();
    boolean answered = server.stop();
    return maintenance.stop(STOP_TIMEOUT_MS) && answered;
  }

  /** Answers what is under way, makes it durable and gives everything up, in this order. */
  @Override
  public void close() {
    boolean idle = stop();
    cache.close();
    if (idle) {
      backing.close();
      region.close();
    } else {
      // Threads may still use the mapping: the end of the process will undo it.
      LOG.log(Level.WARNING, "{0}: stopped with requests under way", backing.name());
    }
  }
}
