package jpcache.cli;

import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import jpcache.base.Printable;
import jpcache.base.Sizes;
import jpcache.base.UserException;
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
 * shown to those who ask for one with {@code --verbose}.
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
    PrintWriter err = command.getErr();
    // The options were not all read, so --verbose may stand among those that were not.
    tell(reason(e) + seeHelp(command), e, List.of(args).contains("--verbose"), err);
    return ExitCode.USAGE;
  }

  private static String reason(ParameterException e) {
    if (!(e instanceof UnmatchedArgumentException unmatched)
        || unmatched.getUnmatched().isEmpty()) {
      return Objects.requireNonNullElse(e.getMessage(), e.toString());
    }
    boolean isCommand = e.getCommandLine().getParent() == null;
    String what = unmatched.isUnknownOption() ? "option" : isCommand ? "command" : "argument";
    List<String> near = unmatched.getSuggestions();
    return "unknown "
        + what
        + " "
        + unmatched.getUnmatched().getFirst()
        + (near.isEmpty() ? "" : " (did you mean " + String.join(" or ", near) + "?)");
  }

  private static String seeHelp(CommandLine command) {
    return "; see " + command.getCommandSpec().qualifiedName() + " --help";
  }

  @Override
  public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
    if (e instanceof WrongUsage) {
      tell(e.getMessage() + seeHelp(command), e, verbose.getAsBoolean(), command.getErr());
      return ExitCode.USAGE;
    }
    tell(e, command.getErr());
    return command.getCommandSpec().exitCodeOnExecutionException();
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
      case UserException e -> Objects.requireNonNullElse(e.getMessage(), e.toString());
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

  /** Names and values from outside may hold line breaks and terminal controls. */
  static String oneLine(String text) {
    return Printable.oneLine(text.strip());
  }
}
