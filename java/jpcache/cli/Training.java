package jpcache.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import picocli.CommandLine;

/**
 * What the build runs to record the AOT cache, so that the launcher's JVM starts with the classes
 * of ordinary commands loaded and linked. A command that fails here fails the build.
 */
final class Training {
  private Training() {}

  public static void main(String[] args) {
    run("--version");
    run("--help");
    for (String command : Main.commandLine().getSubcommands().keySet()) {
      run(command, "--help");
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
