package jpcache.cli;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * What {@code serve} without options serves: an emulated cache and a sparse backing file, made for
 * the occasion and removed with it.
 */
final class Demonstration implements AutoCloseable {
  static final long CACHE_BYTES = 512L << 20;
  private static final long BACKING_BYTES = 1L << 30;

  private final Path directory;
  private final Path memoryDirectory;

  private Demonstration(Path directory, Path memoryDirectory) {
    this.directory = directory;
    this.memoryDirectory = memoryDirectory;
  }

  /** Makes the directories and the backing file; the cache is made by whoever serves it. */
  static Demonstration make() {
    Path memory = freshDirectory(Path.of("/dev/shm"), null);
    Demonstration made =
        new Demonstration(
            freshDirectory(Path.of("/tmp"), System.getenv("XDG_RUNTIME_DIR")), memory);
    try (RandomAccessFile file = new RandomAccessFile(made.backing().toFile(), "rw")) {
      file.setLength(BACKING_BYTES);
    } catch (IOException e) {
      made.close();
      throw new UserException(made.backing() + ": cannot be made: " + e.getMessage(), e);
    }
    return made;
  }

  private static Path freshDirectory(Path fallback, @Nullable String preferred) {
    Path parent =
        preferred != null && Files.isWritable(Path.of(preferred)) ? Path.of(preferred) : fallback;
    try {
      return Files.createTempDirectory(parent, "jpcache-");
    } catch (IOException e) {
      throw new UserException(parent + ": no directory can be made there: " + e.getMessage(), e);
    }
  }

  Path directory() {
    return directory;
  }

  Path cache() {
    return memoryDirectory.resolve("cache.pmem");
  }

  Path backing() {
    return directory.resolve("backing.img");
  }

  Path socket() {
    return directory.resolve("nbd.sock");
  }

  /** Removes what was made, and nothing else. */
  @Override
  public void close() {
    try {
      Files.deleteIfExists(cache());
      Files.deleteIfExists(memoryDirectory);
      Files.deleteIfExists(backing());
      Files.deleteIfExists(socket());
      Files.deleteIfExists(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
