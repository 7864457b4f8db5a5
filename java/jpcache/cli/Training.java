package jpcache.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import picocli.CommandLine;

/**
 * What the build runs to record the AOT cache, so that the launcher's JVM starts with the classes
 * of ordinary commands loaded and linked. A command that fails here fails the build.
 */
final class Training {
  private Training() {}

  public static void main(String[] args) throws Exception {
    run("--version");
    run("--help");
    Path directory = Files.createTempDirectory("jpcache-training-");
    Path cache = directory.resolve("cache");
    Path backing = directory.resolve("backing");
    try {
      sparse(cache, 512L << 20);
      sparse(backing, 1L << 20);
      run("format", "--cache", cache.toString());
      run("dump", "--cache", cache.toString(), "--keys");
      run("dump", "--cache", cache.toString(), "--json");
      run("view", "--cache", cache.toString(), "--backing", backing.toString(), "--length", "0");
      serve(cache, backing, directory.resolve("control"), directory.resolve("nbd"));
    } finally {
      remove(directory); // whatever a run that failed has left
    }
  }

  /** A server from its start to its end, which a client asks for its status in between. */
  private static void serve(Path cache, Path backing, Path control, Path socket) throws Exception {
    StringWriter output = new StringWriter();
    CompletableFuture<Void> served =
        CompletableFuture.runAsync(
            () ->
                run(
                    output,
                    "serve",
                    "--force",
                    "--cache",
                    cache.toString(),
                    "--backing",
                    backing.toString(),
                    "--control",
                    control.toString(),
                    "--listen",
                    "nbd+unix:///?socket=" + socket),
            // A failure here ends the process, whatever the server is doing.
            command -> Thread.ofPlatform().daemon().start(command));
    while (!output.toString().contains("READY ") && !served.isDone()) {
      TimeUnit.MILLISECONDS.sleep(10);
    }
    if (!served.isDone()) {
      run("status", "--control", control.toString());
      // It is answered by the end of the process.
      Thread.ofPlatform().daemon().start(() -> run("stop", "--control", control.toString()));
    }
    served.get(1, TimeUnit.MINUTES);
  }

  private static void sparse(Path path, long sizeBytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
  }

  private static void remove(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }

  private static void run(String... args) {
    run(new StringWriter(), args);
  }

  private static void run(StringWriter output, String... args) {
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(output)).setErr(new PrintWriter(output));
    if (Main.run(line, args) != 0) {
      throw new IllegalStateException(String.join(" ", args) + ": " + output);
    }
  }
}
