package jpcache.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** How much of a file a process has in its page tables, as the kernel says. */
public final class MappedPages {
  private MappedPages() {}

  /** In KiB; 0 if the file is not mapped. */
  public static long kib(long pid, Path file) throws IOException {
    List<String> lines = Files.readAllLines(Path.of("/proc", Long.toString(pid), "smaps"));
    long kib = 0;
    boolean ofFile = false;
    for (String line : lines) {
      if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
        ofFile = line.endsWith(file.toString());
      } else if (ofFile && line.startsWith("Rss:")) {
        kib += Long.parseLong(line.replaceAll("[^0-9]", ""));
      }
    }
    return kib;
  }
}
