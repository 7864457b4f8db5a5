package jpcache.base;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.LongFunction;

/** The processes of this machine, as far as /proc shows them. */
final class Processes {
  private Processes() {}

  /** The first answer that there is about a process, asked for by its pid; none without /proc. */
  static <T> Optional<T> first(LongFunction<Optional<T>> ask) {
    try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc"), "[1-9]*")) {
      for (Path process : all) {
        Optional<T> answer = ask.apply(Long.parseLong(process.getFileName().toString()));
        if (answer.isPresent()) {
          return answer;
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      // Without /proc there is nobody to name.
    }
    return Optional.empty();
  }
}
