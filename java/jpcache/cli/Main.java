package jpcache.cli;

import java.io.PrintWriter;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import jpcache.base.UserException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/**
 * The command {@code jpcache}: knows its subcommands, and how their failures are told.
 *
 * <p>A subcommand is a {@link Callable} of an exit code (or a {@link Runnable}) that throws a
 * {@link jpcache.base.UserException} when it cannot do what it was asked. Help, version and {@code
 * --verbose} are inherited by every one. {@link Failures} holds the exit codes.
 */
@Command(
    name = "jpcache",
    description = "A persistent-memory cache in front of a block device, served over NBD.",
    synopsisSubcommandLabel = "COMMAND",
    commandListHeading = "%nCommands:%n",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    scope = ScopeType.INHERIT)
public final class Main implements Callable<Integer> {
  /**
   * How the JDK's logging writes a line: as all of ours on stderr begin; a journal has the time.
   */
  private static final String LOG_FORMAT = "java.util.logging.SimpleFormatter.format";

  /** Keeps picocli from asking every jar for a class of Groovy's, which takes 0.07 s. */
  private static final String NO_CLOSURES = "picocli.disable.closures";

  @Spec private CommandSpec spec;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show where a failure came from: its stack trace.")
  private boolean verbose;

  private Main() {}

  /** Every command there is, in the order in which the help lists them. */
  private static Map<String, Supplier<Object>> commands() {
    Map<String, Supplier<Object>> commands = new LinkedHashMap<>();
    commands.put("serve", ServeCommand::new);
    commands.put("status", StatusCommand::new);
    commands.put("top", TopCommand::new);
    commands.put("set", SetCommand::new);
    commands.put("flush", FlushCommand::new);
    commands.put("stop", StopCommand::new);
    commands.put("format", FormatCommand::new);
    commands.put("view", ViewCommand::new);
    commands.put("dump", DumpCommand::new);
    commands.put("fsck", FsckCommand::new);
    commands.put("rescue", RescueCommand::new);
    commands.put("bench", BenchCommand::new);
    commands.put("completion", CompletionCommand::new);
    return commands;
  }

  public static void main(String[] args) {
    if (System.getProperty(LOG_FORMAT) == null) {
      System.setProperty(LOG_FORMAT, "jpcache: %5$s%6$s%n");
    }
    System.setProperty(NO_CLOSURES, "true");
    String[] meant = withHelp(args);
    CommandLine line = commandLine(meant).setOut(new StandardOutput());
    int code = run(line, meant);
    line.getErr().flush();
    System.exit(code);
  }

  /** {@code help COMMAND} is {@code COMMAND --help}. */
  static String[] withHelp(String... args) {
    if (args.length == 0 || !args[0].equals("help")) {
      return args;
    }
    return args.length == 1 ? new String[] {"--help"} : new String[] {args[1], "--help"};
  }

  /**
   * A {@code jpcache} that knows the command that stands first, or every one if none does: picocli
   * takes much longer to learn of all of them than of one.
   */
  static CommandLine commandLine(String... args) {
    Map<String, Supplier<Object>> all = commands();
    Supplier<Object> first = args.length == 0 ? null : all.get(args[0]);
    Collection<Supplier<Object>> known = first == null ? all.values() : List.of(first);
    return withCommands(known.stream().map(Supplier::get).toList());
  }

  /** A {@code jpcache} that knows these commands. */
  static CommandLine withCommands(List<?> commands) {
    Main root = new Main();
    CommandLine line = new CommandLine(root);
    commands.forEach(line::addSubcommand);
    Failures failures = new Failures(() -> root.verbose);
    return line.setParameterExceptionHandler(failures).setExecutionExceptionHandler(failures);
  }

  /** Runs a command line and tells of its failure, whatever it is; returns the exit code. */
  static int run(CommandLine line, String... args) {
    int code = execute(line, args);
    int failed = command(line).getCommandSpec().exitCodeOnExecutionException();
    String outputFailure = StandardOutput.failure(line.getOut());
    if (outputFailure == null || code == failed) {
      return code;
    }
    Failures.of(line).tell(new UserException(outputFailure), line.getErr());
    return failed;
  }

  private static int execute(CommandLine line, String... args) {
    try {
      return line.execute(args);
    } catch (Throwable e) {
      // picocli hands its handlers exceptions; errors come here: a fault in mapped memory, no heap.
      return Failures.of(line).end(e, command(line));
    }
  }

  /** The command that was given. */
  private static CommandLine command(CommandLine line) {
    ParseResult parsed = line.getParseResult();
    return parsed != null && parsed.hasSubcommand()
        ? parsed.subcommand().commandSpec().commandLine()
        : line;
  }

  /** Without a command: shows what there is, and counts as wrong usage. */
  @Override
  public Integer call() {
    PrintWriter err = spec.commandLine().getErr();
    spec.commandLine().usage(err);
    return ExitCode.USAGE;
  }
}
