package jpcache.cli;

import static java.util.stream.Collectors.joining;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import jpcache.base.UserException;
import jpcache.control.ControlCommand;
import jpcache.control.ControlCommand.Answer;
import jpcache.control.ControlPaths;
import jpcache.control.ControlServer;
import jpcache.media.CacheMode;
import jpcache.metrics.MetricsServer;
import jpcache.metrics.Registry;
import jpcache.nbd.NbdUri;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * How a running server is watched and steered: its metrics over HTTP, its control socket, and the
 * commands that this understands.
 */
final class Oversight implements AutoCloseable {
  /** What {@code serve} is told about it: {@code @Mixin Oversight.Options oversight}. */
  static final class Options {
    private static final class MetricsAddress extends CheckedValue<String> {
      @Override
      String parse(String text) {
        return MetricsServer.requireAddress(text);
      }
    }

    @Option(
        names = "--metrics",
        paramLabel = "ADDR",
        converter = MetricsAddress.class,
        description =
            "Serve metrics for Prometheus on HOST:PORT, or PORT of the loopback interface.")
    private @Nullable String metrics;

    @Option(
        names = "--control",
        paramLabel = "PATH",
        description =
            "The control socket, by which status, top, set and stop reach this server; by default"
                + " one that they find by the cache's path.")
    private @Nullable Path control;
  }

  /** Changes a setting of a cache to a value as the user wrote it. */
  private interface Setting extends BiFunction<ServedCache, String, Answer> {}

  /** Does what a command asks for, to one of the server's caches. */
  private interface Action {
    Answer run(String export, ServedCache cache, List<String> arguments);
  }

  private final Map<String, Setting> settings =
      new TreeMap<>(Map.of("gc-percent", Oversight::setGcPercent, "mode", this::setMode));

  private final Drains drains = new Drains();
  private final Serving serving;
  private final StopSignal stop;
  private final Registry registry = new Registry();
  private final long startNanos = System.nanoTime();
  private final @Nullable Path ownSocket;
  private final @Nullable MetricsServer metrics;
  private final List<ControlServer> control = new ArrayList<>();

  private Oversight(
      Serving serving,
      StopSignal stop,
      Options options,
      boolean insecure,
      Consumer<String> notice) {
    this.serving = serving;
    this.stop = stop;
    ownSocket = options.control;
    serving.register(registry);
    registry.gauge("jpcache_uptime_seconds", "", "Since the server started.", this::uptimeSeconds);
    metrics =
        options.metrics == null ? null : MetricsServer.start(options.metrics, insecure, registry);
    try {
      listen(options, notice);
      for (ServedCache cache : new LinkedHashSet<>(serving.caches().values())) {
        String kernelNotice = kernelNotice(cache, cache.cache().mode());
        if (kernelNotice != null) {
          notice.accept(kernelNotice);
        }
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  /**
   * Begins.
   *
   * @param stop what ends the server
   * @param insecure whether other machines may reach the metrics
   * @param notice takes what the user should know
   * @throws UserException if it cannot listen where it was told to
   */
  static Oversight start(
      Serving serving,
      StopSignal stop,
      Options options,
      boolean insecure,
      Consumer<String> notice) {
    return new Oversight(serving, stop, options, insecure, notice);
  }

  /** One socket that was named, or one for each cache, whose path then says which is meant. */
  private void listen(Options options, Consumer<String> notice) {
    if (options.control != null) {
      String meant = serving.several() ? null : name(serving.first());
      control.add(ControlServer.start(options.control.toAbsolutePath(), commands(meant)));
      return;
    }
    for (ServedCache cache : new LinkedHashSet<>(serving.caches().values())) {
      try {
        control.add(
            ControlServer.start(ControlPaths.toListen(cache.cachePath()), commands(name(cache))));
      } catch (UserException e) {
        notice.accept(
            e.getMessage() + ": " + cache.cachePath() + " cannot be controlled by its path");
      }
    }
  }

  private @Nullable String kernelNotice(ServedCache cache, CacheMode mode) {
    String server =
        ownSocket == null
            ? Shell.option("--cache", Path.of(cache.cachePath()))
            : Shell.option("--control", ownSocket)
                + (serving.several() ? " --export " + Shell.word(name(cache)) : "");
    return CacheSettings.kernelNotice(cache.cachePath(), mode, server);
  }

  /** The first name that clients know a cache by. */
  private String name(ServedCache cache) {
    return serving.caches().entrySet().stream()
        .filter(entry -> entry.getValue() == cache)
        .findFirst()
        .orElseThrow()
        .getKey();
  }

  /**
   * What a socket understands.
   *
   * @param meant the export that a request is for unless it says so itself; null: it must
   */
  private Map<String, ControlCommand> commands(@Nullable String meant) {
    return Map.of(
        "status", forOne(meant, this::status),
        "times", forOne(meant, this::times),
        "set", forOne(meant, this::set),
        "flush", forOne(meant, this::flush),
        "stop", this::stop);
  }

  private ControlCommand forOne(@Nullable String meant, Action action) {
    return arguments -> {
      String word = arguments.isEmpty() ? "" : arguments.getFirst();
      boolean byCache = word.startsWith(ExportWord.CACHE_PREFIX);
      boolean named = byCache || word.startsWith(ExportWord.PREFIX);
      String name =
          byCache ? exportOf(ExportWord.name(word)) : named ? ExportWord.name(word) : meant;
      List<String> rest = named ? arguments.subList(1, arguments.size()) : arguments;
      ServedCache cache = name == null ? null : serving.caches().get(name);
      if (name == null || cache == null) {
        throw new UserException(
            (name == null ? "which export? Name it with --export" : "there is no export " + name)
                + existing(serving.caches().keySet()));
      }
      return action.run(name, cache, rest);
    };
  }

  private String exportOf(String realPath) {
    for (ServedCache cache : serving.caches().values()) {
      if (ControlPaths.realPath(cache.cachePath()).equals(realPath)) {
        return name(cache);
      }
    }
    throw new UserException(
        realPath
            + ": this server does not serve that cache; it serves "
            + serving.caches().values().stream()
                .map(ServedCache::cachePath)
                .distinct()
                .collect(joining(", ")));
  }

  private static String existing(Set<String> names) {
    return names.equals(Set.of(""))
        ? "; the only one has no name: leave --export out"
        : "; there are: " + names.stream().map(Oversight::shown).collect(joining(", "));
  }

  private static String shown(String name) {
    return name.isEmpty() ? "\"\"" : name;
  }

  private long uptimeSeconds() {
    return TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - startNanos);
  }

  // ---- commands ----

  private Answer status(String export, ServedCache cache, List<String> arguments) {
    requireCount("status", arguments, 0);
    Map<String, String> values = new LinkedHashMap<>();
    values.put("export", export);
    values.put("cache", cache.cachePath());
    values.put("backing", cache.backingPath());
    values.put("size_bytes", Long.toString(cache.sizeBytes()));
    values.put("pid", Long.toString(ProcessHandle.current().pid()));
    values.put(
        StatusReport.LISTEN,
        serving.addresses(export).stream().map(NbdUri::toString).collect(joining(" ")));
    values.put("durability", cache.cache().durability().toString().toLowerCase(Locale.ROOT));
    values.put("read_only", cache.readOnly() ? "on" : "off");
    StatusReport.addKernelStatus(values, cache.cache().status());
    registry
        .snapshot(Serving.EXPORT_LABEL, export)
        .forEach((name, value) -> values.put(name, Long.toString(value)));
    return new Answer(new StatusReport(values).lines(), null);
  }

  /** Of the server's requests, whatever their export. */
  private Answer times(String export, ServedCache cache, List<String> arguments) {
    requireCount("times", arguments, 0);
    List<String> lines = new ArrayList<>();
    registry.times().forEach((name, counts) -> lines.add(name + " " + counts));
    return new Answer(lines, null);
  }

  private Answer set(String export, ServedCache cache, List<String> arguments) {
    requireCount("set", arguments, 2);
    Setting setting = settings.get(arguments.getFirst());
    if (setting == null) {
      throw new UserException(
          "no such setting: "
              + arguments.getFirst()
              + "; there are "
              + String.join(", ", settings.keySet()));
    }
    return setting.apply(cache, arguments.getLast());
  }

  private static Answer setGcPercent(ServedCache cache, String value) {
    if (!value.matches("\\d{1,3}")) {
      throw new UserException("gc-percent " + value + ": not a whole number");
    }
    cache.cache().setGcPercent(Integer.parseInt(value));
    return Answer.of();
  }

  private Answer setMode(ServedCache cache, String value) {
    CacheMode mode = new CacheSettings.ModeConverter().parse(value);
    Answer begun =
        drains.begun(
            cache.cache().setMode(mode),
            "mode "
                + mode
                + " is in force, but dirty data remains: backing "
                + cache.backingPath());
    List<String> lines = new ArrayList<>(begun.lines());
    String notice = kernelNotice(cache, mode);
    if (notice != null) {
      lines.add(SetCommand.NOTICE + notice);
    }
    return new Answer(lines, null);
  }

  /** Begins one, or looks how it stands with the one of this number. */
  private Answer flush(String export, ServedCache cache, List<String> arguments) {
    if (arguments.isEmpty()) {
      return drains.begun(cache.cache().drain(), "backing " + cache.backingPath());
    }
    requireCount("flush", arguments, 1);
    return drains.look(arguments.getFirst());
  }

  private Answer stop(List<String> arguments) {
    requireCount("stop", arguments, 0);
    return new Answer(List.of(StopCommand.PROCESS + ProcessHandle.current().pid()), stop::ask);
  }

  private static void requireCount(String command, List<String> arguments, int count) {
    if (arguments.size() != count) {
      throw new UserException(command + ": takes " + count + " arguments, got " + arguments.size());
    }
  }

  /** Tells those who wait for the end of the process that not all went well. */
  void tellStopFailed(String why) {
    control.forEach(socket -> socket.tell(StopCommand.FAILED + why));
  }

  /** When this returns, nobody asks any more. */
  @Override
  public void close() {
    control.forEach(ControlServer::close);
    if (metrics != null) {
      metrics.close();
    }
  }
}
