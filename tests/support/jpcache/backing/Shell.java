package jpcache.backing;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Runs the system's own tools. */
public final class Shell {
  private Shell() {}

  /** The command's output; fails with it if the command does. */
  public static String run(String... command) throws IOException {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      String output =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      int exit = process.waitFor();
      if (exit != 0) {
        throw new IOException(String.join(" ", command) + ": exit " + exit + ": " + output);
      }
      return output;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
  }
}
