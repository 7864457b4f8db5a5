package jpcache.support;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Scanner;

/** What a file takes up, holes not counted. */
public final class DiskUsage {
  private DiskUsage() {}

  public static long kib(Path file) throws IOException {
    Process du = new ProcessBuilder("du", "-k", file.toString()).start();
    try (Scanner line = new Scanner(du.inputReader())) {
      return line.nextLong();
    }
  }
}
