package jpcache.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import jpcache.base.UserException;
import jpcache.nbd.NbdUri;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
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

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description =
          "Serve what this TOML file says: several exports, each in a table [export.NAME].")
  private @Nullable Path config;

  @Option(
      names = "--export",
      paramLabel = "NAME",
      defaultValue = "",
      description = "The name of the export; by default the empty one.")
  private String export;

  @Mixin private ExportOptions exported;
  @Mixin private ListenOptions listen;
  @Mixin private Oversight.Options oversight;

  /**
   * What the user should know, until everything is open: a failure before that is one line alone,
   * and has changed nothing.
   */
  private @Nullable List<String> held = new ArrayList<>();

  @Override
  public Integer call() {
    boolean demonstrate = config == null && (exported.cache == null || exported.backing == null);
    if (demonstrate) {
      requireNothingMeantForACache();
    }
    try (StopSignal stop = new StopSignal()) {
      if (config != null) {
        requireNothingBesideConfig(config);
        serve(ConfigFile.read(config, this::notice), stop, () -> {});
      } else if (demonstrate) {
        demonstrate(stop);
      } else {
        serve(commandLine(), stop, () -> {});
      }
      stop.succeeded();
    }
    return ExitCode.OK;
  }

  private void requireNothingBesideConfig(Path file) {
    for (OptionSpec option : given()) {
      if (!option.longestName().equals("--config")) {
        throw new ParameterException(
            spec.commandLine(),
            option.longestName() + " and --config: write it into " + file + " instead");
      }
    }
  }

  /** Whoever has lost --cache on the way must not serve a throwaway disk in its place. */
  private void requireNothingMeantForACache() {
    List<OptionSpec> given = given();
    boolean activated = ListenOptions.activated();
    if (given.isEmpty() && !activated) {
      return;
    }
    List<String> missing = new ArrayList<>();
    if (exported.cache == null) {
      missing.add("--cache PATH");
    }
    if (exported.backing == null) {
      missing.add("--backing DEV");
    }
    throw new ParameterException(
        spec.commandLine(),
        String.join(" and ", missing)
            + (missing.size() == 1 ? " is" : " are")
            + " missing: "
            + (given.isEmpty()
                ? "sockets of systemd's say"
                : given.getFirst().longestName() + " says")
            + " that a cache is to be served; without any of that serve is a demonstration");
  }

  /** What stands on the command line, but for what every command has. */
  private List<OptionSpec> given() {
    return spec.commandLine().getParseResult().matchedOptions().stream()
        .filter(option -> !option.inherited())
        .toList();
  }

  private ServePlan commandLine() {
    List<NbdUri> addresses = listen.addresses();
    Set<String> names = Serving.exportNames(export, addresses);
    return new ServePlan(
        listen.server(addresses),
        oversight,
        names.iterator().next(),
        () -> Serving.underNames(exported.open(this::notice), names));
  }

  private void demonstrate(StopSignal stop) {
    try (Demonstration made = Demonstration.make()) {
      NbdUri address = NbdUri.unix(made.socket().toString(), "");
      ServePlan plan =
          new ServePlan(
              listen.server(List.of(address)),
              oversight,
              "",
              () ->
                  Serving.underNames(
                      exported.open(
                          made.cache().toString(),
                          Demonstration.CACHE_BYTES,
                          made.backing().toString(),
                          this::notice),
                      Set.of("")));
      serve(plan, stop, () -> introduce(made, address.toString()));
    }
  }

  private void introduce(Demonstration made, String uri) {
    PrintWriter out = spec.commandLine().getOut();
    out.println("A demonstration in " + made.directory() + ", gone when this ends. Try:");
    out.println("  nbdinfo '" + uri + "'");
    out.println(
        "  fio --name=demo --ioengine=nbd --uri='"
            + uri
            + "' --rw=randrw --bs=4k --iodepth=32 --size=64M");
  }

  /** Serves until it is stopped; {@code served} runs when clients can connect. */
  private void serve(ServePlan plan, StopSignal stop, Runnable served) {
    try (Serving serving = Serving.open(plan.server(), plan.open().get(), plan.defaultExport());
        Oversight watched =
            Oversight.start(
                serving, stop, plan.oversight(), plan.listening().insecure(), this::notice)) {
      tellHeld();
      serving.begin();
      served.run();
      ready(serving);
      stop.await();
      serving.stop();
      writeBackIfWanted(serving, watched);
    }
  }

  private static void writeBackIfWanted(Serving serving, Oversight watched) {
    try {
      serving.writeBackIfWanted();
    } catch (UserException e) {
      watched.tellStopFailed(String.valueOf(e.getMessage()));
      throw e;
    }
  }

  private void notice(String text) {
    if (held != null) {
      held.add(text);
    } else {
      PrintWriter err = spec.commandLine().getErr();
      err.println(Failures.oneLine("jpcache: " + text));
      err.flush();
    }
  }

  /** From now on notices are told at once. */
  private void tellHeld() {
    List<String> notices = held == null ? List.of() : held;
    held = null;
    notices.forEach(this::notice);
  }

  private void ready(Serving serving) {
    List<NbdUri> addresses = serving.addresses();
    StringBuilder lines = new StringBuilder();
    lines.append("READY ").append(addresses.getFirst());
    lines.append(" size=").append(serving.sizeBytes()).append('\n');
    addresses.stream().skip(1).forEach(it -> lines.append("ALSO ").append(it).append('\n'));
    PrintWriter out = spec.commandLine().getOut();
    out.print(lines); // at once: who has READY need not wait for the rest, nor be there to read it
    out.flush();
    String failure = StandardOutput.failure(out);
    if (failure != null) {
      PrintWriter err = spec.commandLine().getErr();
      err.println("jpcache: " + failure + ": serves, though nobody is told READY");
      err.flush();
    }
    serving.prefault();
  }
}
