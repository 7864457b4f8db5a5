package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Runs {@code ./jpcache} as a user does: as a child process, judged by what it prints and exits.
 */
final class Jpcache {
  /** Far more than a command takes here; a command that needs it hangs. */
  private static final long PATIENCE_SECONDS = 120;

  private static final Path LAUNCHER =
      Path.of(System.getProperty("jpcache.launcher", "./jpcache")).toAbsolutePath().normalize();

  private Jpcache() {}

  /** What a command left. */
  record Result(List<String> command, int exit, String out, String err) {
    /** Fails unless the command succeeded. */
    Result succeeded() {
      assertEquals(0, exit, this::toString);
      return this;
    }

    /** Fails unless the command exited 1 and said one line, with all these words and no trace. */
    Result failedSaying(String... words) {
      assertEquals(1, exit, this::toString);
      assertEquals(1, err.lines().count(), "one line on stderr: " + this);
      assertFalse(err.lines().anyMatch(line -> line.startsWith("\tat ")), this::toString);
      assertFalse(err.contains("Exception"), "a message for users names no exception: " + this);
      for (String word : words) {
        assertTrue(err.contains(word), "stderr should name " + word + ": " + this);
      }
      return this;
    }

    @Override
    public String toString() {
      return String.join(" ", command)
          + "\nexit "
          + exit
          + "\nstdout: "
          + out.substring(0, Math.min(out.length(), 4000))
          + "\nstderr: "
          + err;
    }
  }

  /** The launcher's path, for scripts. */
  static String launcher() {
    return LAUNCHER.toString();
  }

  /** Skips the test on a machine that cannot run the command; what else is wrong fails it later. */
  static void assumeItCanRun() {
    assumeTrue(Files.isExecutable(LAUNCHER), () -> LAUNCHER + " is not there");
    assumeTrue(hasLibpmem(), "libpmem.so.1 is not installed: apt-get install libpmem1");
  }

  /** Skips the test where a program that plays the user is missing. */
  static void assumeInstalled(String program) {
    boolean found =
        List.of(System.getenv("PATH").split(":", -1)).stream()
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    assumeTrue(found, () -> program + " is not installed: run ci/setup");
  }

  /** A process that runs {@code ./jpcache} with these arguments. */
  static ProcessBuilder command(String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(LAUNCHER.toString());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command);
  }

  /** Runs {@code ./jpcache} to its end. */
  static Result run(String... arguments) {
    return finish(command(arguments));
  }

  /** Runs any command to its end, in bounded time, and keeps what it printed as text. */
  static Result finish(ProcessBuilder builder) {
    Path out = temporary("out");
    try {
      Result result = finish(builder, out);
      return new Result(result.command(), result.exit(), Files.readString(out), result.err());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      delete(out);
    }
  }

  /** The same with the standard output in a file, for commands that print whole devices. */
  static Result finish(ProcessBuilder builder, Path out) {
    Path err = temporary("err");
    try {
      Process process = builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
      process.getOutputStream().close();
      try {
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
          throw new AssertionError(
              String.join(" ", builder.command())
                  + ": still running after "
                  + PATIENCE_SECONDS
                  + " s, stderr: "
                  + Files.readString(err));
        }
      } finally {
        process.destroyForcibly();
      }
      return new Result(builder.command(), process.exitValue(), "", Files.readString(err));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    } finally {
      delete(err);
    }
  }

  private static boolean hasLibpmem() {
    try {
      SymbolLookup.libraryLookup("libpmem.so.1", Arena.global());
      return true;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  private static Path temporary(String what) {
    try {
      return Files.createTempFile("jpcache-test-", "." + what);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
