package jpcache.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jpcache.backing.BackingDevice;
import jpcache.base.UserException;
import jpcache.cache.CacheOptions;
import jpcache.metrics.Registry;
import jpcache.nbd.Exports;
import jpcache.nbd.NbdServer;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/** Caches that are being served: owns them and the NBD server, and takes them down in order. */
final class Serving implements AutoCloseable {
  /** What tells the metrics of several exports apart. */
  static final String EXPORT_LABEL = "export";

  private final Map<String, ServedCache> caches;
  private final Set<ServedCache> distinct;
  private final NbdServer server;
  private boolean begun;

  private Serving(Map<String, ServedCache> caches, NbdServer server) {
    this.caches = caches;
    this.distinct = new LinkedHashSet<>(caches.values());
    this.server = server;
  }

  /**
   * Listens; {@link #begin} serves. Takes the caches over, also when it fails.
   *
   * @param caches by the names that clients may ask for
   * @param defaultName whose the empty name is; null: nobody's
   */
  static Serving open(
      NbdServerOptions options, Map<String, ServedCache> caches, @Nullable String defaultName) {
    Map<String, ServedCache> served = new LinkedHashMap<>(caches);
    try {
      Exports exports =
          Exports.of(
              served.entrySet().stream()
                  .map(entry -> entry.getValue().export(entry.getKey()))
                  .toList(),
              defaultName);
      return new Serving(served, NbdServer.open(options, exports));
    } catch (Throwable e) {
      new LinkedHashSet<>(served.values()).forEach(ServedCache::abandon);
      throw e;
    }
  }

  /**
   * Starts to serve one cache under one or more names, of which the first is also the default;
   * clients can connect when this returns.
   */
  static Serving start(
      PmemRegion region,
      BackingDevice backing,
      CacheOptions cacheOptions,
      NbdServerOptions serverOptions,
      Set<String> names) {
    ServedCache cache = ServedCache.open(region, backing, cacheOptions);
    Serving serving = open(serverOptions, underNames(cache, names), names.iterator().next());
    serving.begin();
    return serving;
  }

  /**
   * Serves: until now neither clients nor write-back have touched the devices, and whatever else
   * the server needs could fail without a trace on them.
   */
  void begin() {
    distinct.forEach(ServedCache::begin);
    server.begin();
    begun = true;
  }

  /** The same cache under each of these names. */
  static Map<String, ServedCache> underNames(ServedCache cache, Set<String> names) {
    Map<String, ServedCache> caches = new LinkedHashMap<>();
    names.forEach(name -> caches.put(name, cache));
    return caches;
  }

  /** The names of the exports that these addresses and an option ask for. */
  static Set<String> exportNames(String option, List<NbdUri> listen) {
    Set<String> names = new LinkedHashSet<>();
    names.add(option);
    listen.forEach(address -> names.add(address.exportName()));
    return names;
  }

  /** Where clients reach the first export: each address under a name that it was given for it. */
  List<NbdUri> addresses() {
    return addresses(caches.keySet().iterator().next());
  }

  /**
   * Where clients reach an export, with the ports that the system chose. All names are served on
   * all addresses; one that was named with its address is what clients there were meant to use.
   */
  List<NbdUri> addresses(String export) {
    return server.addresses().stream()
        .map(address -> address.exportName().isEmpty() ? address.withExport(export) : address)
        .toList();
  }

  /** The caches by the names that clients ask for; a cache may have several. */
  Map<String, ServedCache> caches() {
    return caches;
  }

  /** The only cache, or the first. */
  ServedCache first() {
    return distinct.iterator().next();
  }

  /** Whether there is more than one. */
  boolean several() {
    return distinct.size() > 1;
  }

  long sizeBytes() {
    return first().sizeBytes();
  }

  /** Maps the caches' pages beforehand, once the server is ready. */
  void prefault() {
    distinct.forEach(ServedCache::prefault);
  }

  /** Has what server and caches count shown by a registry; of several, by export. */
  void register(Registry registry) {
    server.register(registry);
    if (several()) {
      caches.forEach(
          (name, cache) -> cache.cache().register(registry.labelled(EXPORT_LABEL, name)));
    } else {
      first().cache().register(registry);
    }
  }

  /** Stops to serve and writes everything back where that is wanted; {@link #close} follows. */
  void stop() {
    distinct.forEach(ServedCache::stopWaiting);
    boolean answered = server.stop();
    distinct.forEach(cache -> cache.stopMaintenance(answered));
  }

  /**
   * Writes back what is to be written back at the end; {@link #stop} comes before.
   *
   * @throws UserException the first failure, once all have had their turn
   */
  void writeBackIfWanted() {
    List<UserException> failures = new ArrayList<>();
    for (ServedCache cache : distinct) {
      try {
        cache.writeBackIfWanted();
      } catch (UserException e) {
        failures.add(e);
      }
    }
    if (!failures.isEmpty()) {
      throw failures.getFirst();
    }
  }

  /** Answers what is under way, makes it durable and gives everything up, in this order. */
  @Override
  public void close() {
    distinct.forEach(ServedCache::stopWaiting);
    boolean answered = server.stop();
    if (!begun) {
      distinct.forEach(ServedCache::abandon);
      return;
    }
    distinct.forEach(cache -> cache.stopMaintenance(answered));
    distinct.forEach(ServedCache::close);
  }
}
