package jpcache.cli;

import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import jpcache.base.Printable;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.tools.JsonOutline;
import picocli.CommandLine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * How a command that failed ends: one line on stderr, and an exit code of 1 (it could not do it;
 * commands whose 1 means something else annotate another) or 2 (wrong usage). A stack trace is
 * shown to those who ask for one with {@code --verbose}, and an object with the same line and the
 * exit code on stdout to those who asked for {@code --json}.
 */
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {
  private final BooleanSupplier verbose;

  Failures(BooleanSupplier verbose) {
    this.verbose = verbose;
  }

  static Failures of(CommandLine line) {
    return (Failures) line.getExecutionExceptionHandler();
  }

  @Override
  public int handleParseException(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    // The options were not all read, so these may stand among those that were not.
    List<String> words = List.of(args);
    String what = reason(e) + seeHelp(command);
    tell(what, e, words.contains("--verbose"), command.getErr());
    if (words.contains("--json")) {
      tellPrograms(what, ExitCode.USAGE, command.getOut());
    }
    return ExitCode.USAGE;
  }

  private static String reason(ParameterException e) {
    if (!(e instanceof UnmatchedArgumentException unmatched)
        || unmatched.getUnmatched().isEmpty()) {
      return Objects.requireNonNullElse(e.getMessage(), e.toString());
    }
    CommandLine command = e.getCommandLine();
    boolean isCommand = command.getParent() == null;
    boolean isOption = unmatched.isUnknownOption();
    String typed = unmatched.getUnmatched().getFirst();
    List<String> near =
        NearestWords.of(
            typed.replaceFirst("=.*", ""),
            isOption
                ? command.getCommandSpec().optionsMap().keySet()
                : command.getSubcommands().keySet());
    return "unknown "
        + (isOption ? "option" : isCommand ? "command" : "argument")
        + " "
        + typed
        + (near.isEmpty() ? "" : " (did you mean " + String.join(" or ", near) + "?)");
  }

  private static String seeHelp(CommandLine command) {
    return "; see " + command.getCommandSpec().qualifiedName() + " --help";
  }

  @Override
  public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
    return end(e, command);
  }

  /** Tells of the failure of a command, and returns its exit code. */
  int end(Throwable e, CommandLine command) {
    boolean usage = e instanceof WrongUsage;
    String what = usage ? e.getMessage() + seeHelp(command) : explain(e);
    int code = usage ? ExitCode.USAGE : command.getCommandSpec().exitCodeOnExecutionException();
    tell(what, e, verbose.getAsBoolean(), command.getErr());
    ParseResult options = command.getParseResult();
    if (options != null && options.hasMatchedOption("--json")) {
      tellPrograms(what, code, command.getOut());
    }
    return code;
  }

  private static void tellPrograms(String what, int code, PrintWriter out) {
    JsonOutline json = JsonOutline.line(out);
    json.begin("failure");
    json.value("error", oneLine(what));
    json.value("exit_code", code);
    json.end();
    out.flush();
  }

  /** Tells of a failure in one line, by {@code --verbose} with its trace. */
  void tell(Throwable failure, PrintWriter err) {
    tell(explain(failure), failure, verbose.getAsBoolean(), err);
  }

  private static void tell(String what, Throwable failure, boolean withTrace, PrintWriter err) {
    err.println(oneLine("jpcache: " + what));
    if (withTrace) {
      failure.printStackTrace(err);
    }
    err.flush();
  }

  private static String explain(Throwable failure) {
    return switch (failure) {
      case UserException e -> withRemedy(Objects.requireNonNullElse(e.getMessage(), e.toString()));
      case UncheckedIOException e -> // a store to persistent memory, which names itself
          Objects.requireNonNullElse(e.getMessage(), e.toString());
      case OutOfMemoryError e ->
          "out of memory ("
              + e.getMessage()
              + "; the heap may take "
              + Sizes.format(Runtime.getRuntime().maxMemory())
              + "): allow more, such as JPCACHE_JAVA_OPTS=-Xmx4g";
      case InternalError e ->
          "a memory access failed ("
              + e.getMessage()
              + "): the cache holds poisoned memory, or its file was truncated while it was in use";
      default -> "unexpected failure: " + failure + "; run with --verbose for its stack trace";
    };
  }

  /** Whatever needs a file may want descriptors, so what helps is said in one place. */
  private static String withRemedy(String message) {
    return message.contains("Too many open files")
        ? message + "; allow more with `ulimit -n`, such as ulimit -n 4096"
        : message;
  }

  /** Names and values from outside may hold line breaks and terminal controls. */
  static String oneLine(String text) {
    return Printable.oneLine(text.strip());
  }
}
