package jpcache.cli;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import jpcache.backing.BackingDevice;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.cache.Durability;
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

  /** What {@link Durability#FLUSH} may lose: the kernel closes its open ksets as often. */
  private static final long KSET_AGE_MS = 1000;

  private final PmemRegion region;
  private final BackingDevice backing;
  private final Cache cache;
  private final NbdServer server;
  private final ScheduledExecutorService timer;

  private Serving(PmemRegion region, BackingDevice backing, Cache cache, NbdServer server) {
    this.region = region;
    this.backing = backing;
    this.cache = cache;
    this.server = server;
    timer =
        Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("kset-age").factory());
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
      Serving serving = new Serving(region, backing, cache, server);
      if (cacheOptions.durability() == Durability.FLUSH) {
        var _ =
            serving.timer.scheduleWithFixedDelay(
                cache::closeOpenKsets, KSET_AGE_MS, KSET_AGE_MS, TimeUnit.MILLISECONDS);
      }
      return serving;
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

  long sizeBytes() {
    return cache.sizeBytes();
  }

  /** Answers what is under way, makes it durable and gives everything up, in this order. */
  @Override
  public void close() {
    boolean idle = server.stop();
    timer.shutdown();
    cache.closeOpenKsets();
    if (idle) {
      backing.close();
      region.close();
    } else {
      // Threads may still use the mapping: the end of the process will undo it.
      LOG.log(Level.WARNING, "{0}: stopped with reads under way", backing.name());
    }
  }
}
