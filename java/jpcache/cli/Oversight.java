package jpcache.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import jpcache.base.UserException;
import jpcache.control.ControlCommand;
import jpcache.control.ControlCommand.Answer;
import jpcache.control.ControlPaths;
import jpcache.control.ControlServer;
import jpcache.media.CacheMode;
import jpcache.metrics.MetricsServer;
import jpcache.metrics.Registry;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * How a running server is watched and steered: its metrics over HTTP, its control socket, and the
 * commands that this understands.
 */
final class Oversight implements AutoCloseable {
  /** What {@code serve} is told about it: {@code @Mixin Oversight.Options oversight}. */
  static final class Options {
    @Option(
        names = "--metrics",
        paramLabel = "ADDR",
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

  /** What a setting is changed by; the argument is its new value as the user wrote it. */
  private final Map<String, Function<String, Answer>> settings =
      new TreeMap<>(Map.of("gc-percent", this::setGcPercent, "mode", this::setMode));

  private final Serving serving;
  private final StopSignal stop;
  private final Drains drains;
  private final Registry registry = new Registry();
  private final long startNanos = System.nanoTime();
  private final @Nullable MetricsServer metrics;
  private final @Nullable ControlServer control;

  private Oversight(
      Serving serving,
      StopSignal stop,
      Options options,
      boolean insecure,
      Consumer<String> notice) {
    this.serving = serving;
    this.stop = stop;
    drains = new Drains(serving.backingPath());
    serving.register(registry);
    registry.gauge("jpcache_uptime_seconds", "", "Since the server started.", this::uptimeSeconds);
    metrics =
        options.metrics == null ? null : MetricsServer.start(options.metrics, insecure, registry);
    try {
      control = listen(options, notice);
    } catch (Throwable e) {
      if (metrics != null) {
        metrics.close();
      }
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

  private @Nullable ControlServer listen(Options options, Consumer<String> notice) {
    Map<String, ControlCommand> commands =
        Map.of("status", this::status, "set", this::set, "flush", this::flush, "stop", this::stop);
    if (options.control != null) {
      return ControlServer.start(options.control.toAbsolutePath(), commands);
    }
    try {
      return ControlServer.start(ControlPaths.toListen(serving.cachePath()), commands);
    } catch (UserException e) {
      notice.accept(e.getMessage() + ": this server cannot be controlled");
      return null;
    }
  }

  private long uptimeSeconds() {
    return TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - startNanos);
  }

  // ---- commands ----

  private Answer status(List<String> arguments) {
    requireCount("status", arguments, 0);
    Map<String, String> values = new LinkedHashMap<>();
    values.put("cache", serving.cachePath());
    values.put("backing", serving.backingPath());
    values.put("size_bytes", Long.toString(serving.sizeBytes()));
    values.put("pid", Long.toString(ProcessHandle.current().pid()));
    StatusReport.addKernelStatus(values, serving.cache().status());
    registry.snapshot().forEach((name, value) -> values.put(name, Long.toString(value)));
    return new Answer(new StatusReport(values).lines(), null);
  }

  private Answer set(List<String> arguments) {
    requireCount("set", arguments, 2);
    Function<String, Answer> setting = settings.get(arguments.getFirst());
    if (setting == null) {
      throw new UserException(
          "no such setting: "
              + arguments.getFirst()
              + "; there are "
              + String.join(", ", settings.keySet()));
    }
    return setting.apply(arguments.getLast());
  }

  private Answer setGcPercent(String value) {
    if (!value.matches("\\d{1,3}")) {
      throw new UserException("gc-percent " + value + ": not a whole number");
    }
    serving.cache().setGcPercent(Integer.parseInt(value));
    return Answer.of();
  }

  private Answer setMode(String value) {
    CacheMode mode = CacheSettings.parseMode(value);
    List<String> lines = new ArrayList<>(drains.begun(serving.cache().setMode(mode)).lines());
    String notice = CacheSettings.kernelNotice(serving.cachePath(), mode);
    if (notice != null) {
      lines.add(SetCommand.NOTICE + notice);
    }
    return new Answer(lines, null);
  }

  /** Begins one, or looks how it stands with the one of this number. */
  private Answer flush(List<String> arguments) {
    if (arguments.isEmpty()) {
      return drains.begun(serving.cache().drain());
    }
    requireCount("flush", arguments, 1);
    return drains.look(arguments.getFirst());
  }

  private Answer stop(List<String> arguments) {
    requireCount("stop", arguments, 0);
    return new Answer(List.of("process " + ProcessHandle.current().pid()), stop::ask);
  }

  private static void requireCount(String command, List<String> arguments, int count) {
    if (arguments.size() != count) {
      throw new UserException(command + ": takes " + count + " arguments, got " + arguments.size());
    }
  }

  /** Tells those who wait for the end of the process that not all went well. */
  void tellStopFailed(String why) {
    if (control != null) {
      control.tell(StopCommand.FAILED + why);
    }
  }

  /** When this returns, nobody asks any more. */
  @Override
  public void close() {
    if (control != null) {
      control.close();
    }
    if (metrics != null) {
      metrics.close();
    }
  }
}
