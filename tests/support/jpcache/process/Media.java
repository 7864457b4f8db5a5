package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.Sha256;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.tools.fsck.Problems;

/**
 * The two devices of a server and its socket, in a test's own directories: the cache in memory, as
 * emulated pmem; the backing file on disk, where O_DIRECT is the ordinary case.
 */
record Media(Path cache, Path backing, Path socket) {
  /**
   * Names in these directories; nothing is made yet.
   *
   * @param shm a directory in /dev/shm; short, because a socket's name is limited to 107 bytes
   */
  static Media in(Path shm, Path disk) {
    return new Media(shm.resolve("cache"), disk.resolve("backing"), shm.resolve("s"));
  }

  /** A backing file that is all hole. */
  Media withBacking(long sizeBytes) {
    try (var file = new RandomAccessFile(backing.toFile(), "rw")) {
      file.setLength(0);
      file.setLength(sizeBytes);
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A fresh cache, whatever was there; for the backing file, if that has been made. */
  Media formatted(String size, String... options) {
    try {
      Files.deleteIfExists(cache);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    List<String> arguments =
        new ArrayList<>(List.of("format", "--cache", cache.toString(), "--size", size));
    if (Files.exists(backing)) {
      arguments.addAll(List.of("--backing", backing.toString()));
    }
    arguments.addAll(List.of(options));
    Jpcache.run(arguments.toArray(String[]::new)).succeeded();
    return this;
  }

  String listenUri() {
    return "nbd+unix:///?socket=" + socket;
  }

  /** The options of {@code serve} for these media, and more. */
  String[] serveOptions(String... more) {
    List<String> options =
        new ArrayList<>(
            List.of(
                "--cache", cache.toString(),
                "--backing", backing.toString(),
                "--listen", listenUri()));
    options.addAll(List.of(more));
    return options.toArray(String[]::new);
  }

  /** The arguments of {@code ./jpcache} that serve these media. */
  String[] serveCommand() {
    List<String> arguments = new ArrayList<>(List.of(serveOptions()));
    arguments.addFirst("serve");
    return arguments.toArray(String[]::new);
  }

  /** The arguments of {@code ./jpcache} that view these media. */
  String[] viewCommand() {
    return new String[] {"view", "--cache", cache.toString(), "--backing", backing.toString()};
  }

  /** Fails if {@code fsck} would find a problem. Nobody serves these media. */
  void requireSound(String when) {
    try (ReadOnlyMapping mapping = ReadOnlyMapping.open(cache.toString());
        BackingDevice device =
            BackingDevices.open(backing.toString(), BackingOptions.forReading())) {
      assertEquals(List.of(), Problems.of(cache.toString(), mapping.view(), device), when);
    }
  }

  /** The SHA-256 of the logical device as {@code view} prints it. */
  String viewSha256(Path scratch) {
    try {
      Path out = scratch.resolve("view.out");
      Jpcache.finish(Jpcache.command(viewCommand()), out).succeeded();
      String sha256 = Sha256.of(out);
      Files.delete(out);
      return sha256;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
