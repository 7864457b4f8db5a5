package jpcache.backing;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;

/**
 * Files, loop devices and file systems for one test, taken down by {@link #close} in the opposite
 * order. What this machine does not allow skips the test and says so.
 */
public final class Media implements AutoCloseable {
  private interface Undo {
    void run() throws IOException;
  }

  private final Deque<Undo> undo = new ArrayDeque<>();

  /** A fresh directory inside another. */
  Path directory(Path parent) throws IOException {
    Files.createDirectories(parent);
    Path directory = Files.createTempDirectory(parent, "backing-").toAbsolutePath();
    undo.push(() -> deleteTree(directory));
    return directory;
  }

  /** A fresh directory on the disk that the build is on. */
  Path onDisk() throws IOException {
    return directory(Path.of("target", "backing-tests"));
  }

  /** A sparse file. */
  public static Path file(Path directory, long sizeBytes) throws IOException {
    Path file = directory.resolve("device.img");
    try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw")) {
      f.setLength(sizeBytes);
    }
    return file;
  }

  /** Attaches a file to a loop device. */
  public Path loop(Path file, int sectorBytes, String... more) throws IOException {
    List<String> command =
        Stream.concat(
                Stream.of("losetup", "--find", "--show", "-b", Integer.toString(sectorBytes)),
                Stream.concat(Stream.of(more), Stream.of(file.toString())))
            .toList();
    Path device = Path.of(orSkip(command.toArray(String[]::new)));
    undo.push(() -> Shell.run("losetup", "-d", device.toString()));
    return device;
  }

  /** Mounts something on a fresh directory. */
  public Path mount(String... options) throws IOException {
    Path at = onDisk();
    String[] command =
        Stream.of(Stream.of("mount"), Stream.of(options), Stream.of(at.toString()))
            .flatMap(s -> s)
            .toArray(String[]::new);
    orSkip(command);
    undo.push(() -> Shell.run("umount", at.toString()));
    return at;
  }

  /** A file system of its own whose files take O_DIRECT only in 4 KiB. */
  Path coarseFileSystem(long sizeBytes) throws IOException {
    Path disk = loop(file(onDisk(), sizeBytes), 4096);
    orSkip("mkfs.ext4", "-q", "-b", "4096", disk.toString());
    return mount(disk.toString());
  }

  @Override
  public void close() throws IOException {
    while (!undo.isEmpty()) {
      undo.pop().run();
    }
  }

  private static String orSkip(String... command) {
    try {
      return Shell.run(command);
    } catch (IOException e) {
      return abort("not possible here: " + e.getMessage());
    }
  }

  private static void deleteTree(Path root) throws IOException {
    try (Stream<Path> all = Files.walk(root)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
