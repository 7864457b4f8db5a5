package jpcache.process;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A {@code ./jpcache serve} as a child process, ready for clients. The launcher becomes the server
 * by exec, so the child's process id is the server's.
 */
final class Server implements AutoCloseable {
  private static final long START_SECONDS = 60;
  private static final long STOP_SECONDS = 60;
  private static final Pattern READY = Pattern.compile("READY (\\S+) size=(\\d+)");

  private final Process process;
  private final Path err;
  private final List<String> lines = new ArrayList<>();
  private final CompletableFuture<Matcher> ready = new CompletableFuture<>();
  private final CompletableFuture<Void> outputEnded = new CompletableFuture<>();

  private Server(Process process, Path err) {
    this.process = process;
    this.err = err;
  }

  /** Starts {@code ./jpcache serve} with these options, and waits for nothing. */
  static Server launch(String... options) {
    List<String> arguments = new ArrayList<>(List.of(options));
    arguments.addFirst("serve");
    return launch(Jpcache.command(arguments.toArray(String[]::new)));
  }

  /** The same for a command that is ready made. */
  static Server launch(ProcessBuilder command) {
    try {
      Path err = Files.createTempFile("jpcache-serve-", ".err");
      Server server = new Server(command.redirectError(err.toFile()).start(), err);
      Thread.ofPlatform().daemon().name("stdout of " + server.process).start(server::readOutput);
      return server;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Starts {@code ./jpcache serve} with these options and waits until clients can connect. */
  static Server start(String... options) {
    Server server = launch(options);
    server.awaitReady();
    return server;
  }

  /** Waits for the READY line. */
  Server awaitReady() {
    try {
      var _ = ready.get(START_SECONDS, TimeUnit.SECONDS);
      return this;
    } catch (ExecutionException e) {
      throw notReady("it exited with " + awaitExit(), e);
    } catch (InterruptedException | TimeoutException e) {
      throw notReady("it is still running after " + START_SECONDS + " s", e);
    }
  }

  private AssertionError notReady(String state, Exception cause) {
    String message = "the server printed no READY line; " + state + ", stderr: " + stderr();
    close();
    return new AssertionError(message, cause);
  }

  /** Waits a while for the READY line; whether it came does not matter. */
  void awaitReadyAtMost(long millis) {
    try {
      var _ = ready.get(millis, TimeUnit.MILLISECONDS);
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      // Whatever it was doing, it was given this long.
    }
  }

  /** The URI of the READY line. */
  String uri() {
    return ready.join().group(1);
  }

  /** The export's size as the READY line tells it. */
  long sizeBytes() {
    return Long.parseLong(ready.join().group(2));
  }

  long pid() {
    return process.pid();
  }

  /** The lines on standard output so far. */
  List<String> lines() {
    synchronized (lines) {
      return List.copyOf(lines);
    }
  }

  String stderr() {
    try {
      return Files.exists(err) ? Files.readString(err) : "";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** SIGKILL; returns when the process is gone. */
  void kill() {
    process.destroyForcibly();
    awaitExit();
  }

  /** Sends any signal, such as STOP. */
  void signal(String name) {
    Jpcache.finish(new ProcessBuilder("kill", "-" + name, Long.toString(pid()))).succeeded();
  }

  /** SIGTERM; returns the exit code. */
  int terminate() {
    process.destroy();
    return awaitExit();
  }

  /** Waits for the end, whoever brings it about; returns the exit code. */
  int awaitExit() {
    try {
      if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
        throw new AssertionError("the server does not stop, stderr: " + stderr());
      }
      outputEnded.get(STOP_SECONDS, TimeUnit.SECONDS);
      return process.exitValue();
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      throw new AssertionError(e);
    }
  }

  private void readOutput() {
    try (BufferedReader reader = process.inputReader()) {
      for (String line; (line = reader.readLine()) != null; ) {
        synchronized (lines) {
          lines.add(line);
        }
        Matcher matcher = READY.matcher(line);
        if (matcher.matches()) {
          ready.complete(matcher);
        }
      }
    } catch (IOException e) {
      // The pipe ends with the process.
    } finally {
      outputEnded.complete(null);
      ready.completeExceptionally(new IOException("the output ended without a READY line"));
    }
  }

  /** Kills the server if it still runs. */
  @Override
  public void close() {
    process.destroyForcibly();
    awaitExit();
    try {
      Files.deleteIfExists(err);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
