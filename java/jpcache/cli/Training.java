package jpcache.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine;

/**
 * What the build runs to record the AOT cache, so that the launcher's JVM starts with the classes
 * of ordinary commands loaded and linked. A command that fails here fails the build.
 */
final class Training {
  private Training() {}

  public static void main(String[] args) throws IOException {
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
    } finally {
      Files.deleteIfExists(cache);
      Files.deleteIfExists(backing);
      Files.delete(directory);
    }
  }

  private static void sparse(Path path, long sizeBytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
  }

  private static void run(String... args) {
    StringWriter output = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(output)).setErr(new PrintWriter(output));
    if (Main.run(line, args) != 0) {
      throw new IllegalStateException(String.join(" ", args) + ": " + output);
    }
  }
}
