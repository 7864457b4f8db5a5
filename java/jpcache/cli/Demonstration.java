package jpcache.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

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
  private static final String PREFIX = "jpcache-";
  private static final String SOCKET = "nbd.sock";

  /** What a unix socket's path may have, without what stands behind the parent; 2 are slashes. */
  private static final int MAX_PARENT_BYTES =
      107 - 2 - PREFIX.length() - Long.toUnsignedString(-1).length() - SOCKET.length();

  private final Path directory;
  private final Path memoryDirectory;

  private Demonstration(Path directory, Path memoryDirectory) {
    this.directory = directory;
    this.memoryDirectory = memoryDirectory;
  }

  /** Makes the directories and the backing file; the cache is made by whoever serves it. */
  static Demonstration make() {
    Path memory = freshDirectory(Path.of("/dev/shm"));
    Demonstration made =
        new Demonstration(freshDirectory(parent(System.getenv("XDG_RUNTIME_DIR"))), memory);
    try (RandomAccessFile file = new RandomAccessFile(made.backing().toFile(), "rw")) {
      file.setLength(BACKING_BYTES);
    } catch (IOException e) {
      made.close();
      throw new UserException(made.backing() + ": cannot be made: " + e.getMessage(), e);
    }
    return made;
  }

  /** The runtime directory, where there is one in which the socket's path is short enough. */
  static Path parent(@Nullable String runtimeDirectory) {
    Path fallback = Path.of("/tmp");
    return runtimeDirectory != null
            && runtimeDirectory.getBytes(UTF_8).length <= MAX_PARENT_BYTES
            && Files.isWritable(Path.of(runtimeDirectory))
        ? Path.of(runtimeDirectory)
        : fallback;
  }

  private static Path freshDirectory(Path parent) {
    try {
      return Files.createTempDirectory(parent, PREFIX);
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
    return directory.resolve(SOCKET);
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
