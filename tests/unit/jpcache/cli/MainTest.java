package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Set;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

class MainTest {
  /** A command that ends as it is told. */
  @Command(name = "probe", description = "Ends as it is told.")
  static final class Probe implements Runnable {
    @Option(names = "--size", converter = SizeConverter.class)
    long sizeBytes;

    Runnable deed = () -> {};

    @Override
    public void run() {
      deed.run();
    }
  }

  private final Probe probe = new Probe();
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine line = Main.withCommands(List.of(probe));
    line.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    return Main.run(line, args);
  }

  private void assertOneLine(String expected) {
    assertEquals(expected + System.lineSeparator(), err.toString());
    assertEquals("", out.toString());
  }

  @Test
  void aCommandThatDoesItsWorkExitsWithZeroAndSaysNothing() {
    assertEquals(0, run("probe", "--size", "1GiB"));
    assertEquals(1L << 30, probe.sizeBytes);
    assertEquals("", out + err.toString());
  }

  @Test
  void aUsersMistakeIsOneLineAndExitsWithOne() {
    probe.deed =
        () -> {
          throw new UserException("/tmp/x: holds no cache", new IllegalStateException("inner"));
        };
    assertEquals(1, run("probe"));
    assertOneLine("jpcache: /tmp/x: holds no cache");
  }

  @Test
  void aMessageWithLineBreaksAndTerminalControlsIsStillOneLine() {
    probe.deed =
        () -> {
          throw new UserException("/tmp/a\nb\u001b[2J: holds no cache\n");
        };
    assertEquals(1, run("probe"));
    assertOneLine("jpcache: /tmp/a b [2J: holds no cache");
  }

  @Test
  void anUnexpectedExceptionIsOneLineWithoutItsTrace() {
    probe.deed =
        () -> {
          throw new IllegalStateException("leaf is not sorted");
        };
    assertEquals(1, run("probe"));
    assertOneLine(
        "jpcache: unexpected failure: java.lang.IllegalStateException: leaf is not sorted;"
            + " run with --verbose for its stack trace");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void verboseShowsTheTraceBeforeAndBehindTheCommand(boolean before) {
    probe.deed =
        () -> {
          throw new UserException("no", new IllegalStateException("inner"));
        };
    assertEquals(1, before ? run("--verbose", "probe") : run("probe", "--verbose"));
    assertTrue(err.toString().startsWith("jpcache: no" + System.lineSeparator()), err.toString());
    assertTrue(err.toString().contains("Caused by: java.lang.IllegalStateException: inner"));
  }

  @Test
  void aFaultInMappedMemoryIsOneLineAndExitsWithOne() {
    probe.deed =
        () -> {
          throw new InternalError("a fault occurred in an unsafe memory access operation");
        };
    assertEquals(1, run("probe"));
    assertOneLine(
        "jpcache: a memory access failed (a fault occurred in an unsafe memory access operation):"
            + " the cache holds poisoned memory, or its file was truncated while it was in use");
  }

  @Test
  void aStoreThatFailsIsOneLineAndExitsWithOne() {
    probe.deed =
        () -> {
          String what = "cache: 8 bytes at 0 are not durable: its memory is gone";
          throw new UncheckedIOException(what, new IOException(what));
        };
    assertEquals(1, run("probe"));
    assertOneLine("jpcache: cache: 8 bytes at 0 are not durable: its memory is gone");
  }

  @Test
  void runningOutOfMemoryIsOneLineThatSaysHowToAllowMore() {
    probe.deed =
        () -> {
          throw new OutOfMemoryError("Java heap space");
        };
    assertEquals(1, run("probe"));
    assertTrue(err.toString().matches("jpcache: out of memory \\(Java heap space; .*-Xmx4g\\R"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"nonsense", "--nonsense", "probe extra", "probe --size", "probe --size 12X"})
  void wrongUsageIsOneLineThatPointsToTheHelpAndExitsWithTwo(String line) {
    assertEquals(2, run(line.split(" ")));
    assertTrue(
        err.toString().matches("jpcache: [^\n]*see jpcache[ a-z]* --help\\R"), err.toString());
    assertEquals("", out.toString());
  }

  @Test
  void aWrongSizeIsNamedTogetherWithItsOption() {
    assertEquals(2, run("probe", "--size", "12X"));
    assertOneLine(
        "jpcache: Invalid value for option '--size': size 12X: not a size; write 512M, 1G or 1GiB;"
            + " see jpcache probe --help");
  }

  @Test
  void aMistypedOptionIsAnsweredWithTheNearestOne() {
    assertEquals(2, run("probe", "--sise", "1G"));
    assertOneLine(
        "jpcache: unknown option --sise (did you mean --size?); see jpcache probe --help");
  }

  @Test
  void aMistypedCommandIsAnsweredWithTheNearestOne() {
    assertEquals(2, run("prove", "--size", "1G"));
    assertOneLine("jpcache: unknown command prove (did you mean probe?); see jpcache --help");
  }

  @Test
  void stopNamesNoExport() {
    CommandLine line = Main.commandLine("stop").setOut(new PrintWriter(out, true));
    assertEquals(0, Main.run(line, "stop", "--help"));
    assertTrue(out.toString().contains("--control"), out.toString());
    assertFalse(out.toString().contains("--export"), out.toString());
  }

  @ParameterizedTest
  @CsvSource({
    "frmat, (did you mean format?)",
    "stat, (did you mean status?)",
    "complete, ;",
    "xyz, ;",
  })
  void whatResemblesNothingIsAnsweredWithNothing(String typed, String answer) {
    CommandLine line = Main.commandLine().setErr(new PrintWriter(err, true));
    assertEquals(2, Main.run(line, typed));
    String expected =
        "jpcache: unknown command " + typed + (answer.equals(";") ? "" : " " + answer);
    assertOneLine(expected + "; see jpcache --help");
  }

  @Test
  void wantOfDescriptorsIsToldWithWhatAllowsMore() {
    probe.deed =
        () -> {
          throw new UserException("eventfd: Too many open files");
        };
    assertEquals(1, run("probe"));
    assertOneLine(
        "jpcache: eventfd: Too many open files; allow more with `ulimit -n`, such as ulimit -n 4096");
  }

  @Test
  void anArgumentTooManyIsNamed() {
    assertEquals(2, run("probe", "extra"));
    assertOneLine("jpcache: unknown argument extra; see jpcache probe --help");
  }

  @Test
  void aCommandThatStandsFirstIsTheOnlyOneThatHasToBeKnown() {
    Set<String> all = Main.commandLine().getSubcommands().keySet();
    assertTrue(all.contains("serve") && all.contains("fsck"));
    for (String name : all) {
      assertEquals(Set.of(name), Main.commandLine(name, "--help").getSubcommands().keySet());
    }
    assertEquals(all, Main.commandLine("--help").getSubcommands().keySet());
    assertEquals(all, Main.commandLine("serv").getSubcommands().keySet());
  }

  @Test
  void withoutACommandTheUsageGoesToStderrAndTheExitCodeIsTwo() {
    assertEquals(2, run());
    assertTrue(err.toString().startsWith("Usage: jpcache"), err.toString());
    assertTrue(err.toString().contains("probe"), err.toString());
    assertEquals("", out.toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"--help", "probe --help"})
  void helpGoesToStdoutAndExitsWithZero(String line) {
    assertEquals(0, run(line.split(" ")));
    assertTrue(out.toString().startsWith("Usage: jpcache"), out.toString());
    assertTrue(out.toString().contains("--verbose"), out.toString());
    assertEquals("", err.toString());
  }

  @ParameterizedTest
  @CsvSource({"help, --help", "help probe, probe --help", "probe help, probe help"})
  void helpAsACommandIsHelpAsAnOption(String line, String meant) {
    assertArrayEquals(meant.split(" "), Main.withHelp(line.split(" ")));
  }

  @Test
  void theVersionIsThePomsVersion() {
    assertEquals(0, run("--version"));
    assertTrue(out.toString().matches("jpcache \\d+\\.\\d+\\.\\d+( \\([0-9a-f]+.*\\))?\\R"));
    assertFalse(out.toString().contains("${"), out.toString());
  }
}
