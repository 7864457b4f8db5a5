package jpcache.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the calling thread may run, as the kernel says. */
public final class ThisThread {
  private static final String ALLOWED = "Cpus_allowed_list:";

  private ThisThread() {}

  /** A list as {@code 0-3,8}. */
  public static String processors() throws IOException {
    return Files.readAllLines(Path.of("/proc/thread-self/status")).stream()
        .filter(line -> line.startsWith(ALLOWED))
        .findFirst()
        .orElseThrow()
        .substring(ALLOWED.length())
        .strip();
  }

  /** The first of them. */
  public static int firstProcessor() throws IOException {
    return Integer.parseInt(processors().split("[-,]", 2)[0]);
  }

  /** The last of them: another one, where there are two. */
  public static int lastProcessor() throws IOException {
    String[] numbers = processors().split("[-,]", -1);
    return Integer.parseInt(numbers[numbers.length - 1]);
  }
}
