package jpcache.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What Jazzer calls: {@code ci/fuzz} runs it with {@code jpcache.fuzz.target} set to the name of a
 * {@link FuzzTarget}. Jazzer finds these methods by their names.
 */
public final class Jazzer {
  private static @Nullable Judge judge;

  private Jazzer() {}

  /** Once, before the first input. */
  public static void fuzzerInitialize() {
    String name = Objects.requireNonNull(System.getProperty("jpcache.fuzz.target"));
    FuzzTarget target = FuzzTargets.named(name);
    target.seeds().forEach(target::accept); // loads and instruments: no input is to pay for that
    Judge fresh = new Judge(name, target);
    judge = fresh;
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> System.err.println("judge: at most " + fresh.worst())));
  }

  /** Each input. */
  public static void fuzzerTestOneInput(byte[] input) {
    Objects.requireNonNull(judge).feed(input);
  }

  /**
   * {@code Jazzer DIRECTORY TARGET...}: writes the seeds of each target, or of all, into a folder
   * of its name, and prints the names.
   */
  public static void main(String... args) throws IOException {
    Iterable<String> names =
        args.length > 1 ? List.of(args).subList(1, args.length) : FuzzTargets.names();
    for (String name : names) {
      Path directory = Files.createDirectories(Path.of(args[0], name));
      try (FuzzTarget target = FuzzTargets.named(name)) {
        int number = 0;
        for (byte[] seed : target.seeds()) {
          Files.write(directory.resolve("seed-" + number++), seed);
        }
      }
      System.out.println(name);
    }
  }
}
