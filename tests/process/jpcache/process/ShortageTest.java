package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A server that is stopped for a while, that gets no descriptors, or no memory for its cache:
 * whatever it has promised it keeps, and what it cannot have it is told before it promises.
 */
class ShortageTest {
  private static final long BACKING_BYTES = 64 << 20;

  /** All blocks fit into a socket's buffers, so that they can be sent while nobody receives. */
  private static final int BLOCK_BYTES = 8 << 10;

  private static final int BLOCKS = 8;
  private static final int ROUNDS_OVER_SEGMENTS = 400;
  private static final int SPARE_DESCRIPTORS = 6;
  private static final int STRANGERS = 40;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES);
  }

  @Test
  void aServerThatStoodStillAnswersWhatWasSentMeanwhile() throws Exception {
    media.formatted("512M");
    try (Server server = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      for (int pause = 0; pause < 3; pause++) {
        server.signal("STOP");
        for (int block = 0; block < BLOCKS; block++) {
          client.sendWrite((long) block * BLOCK_BYTES, payload(block, pause), false);
        }
        server.signal("CONT");
        for (int block = 0; block < BLOCKS; block++) {
          assertEquals(0, client.receive().error());
        }
        readBack(client, pause);
      }
      assertEquals(0, server.terminate(), server::stderr);
    }
    media.requireSound("after pauses");
  }

  @Test
  void aServerWithoutDescriptorsServesWhomItHasAndOthersWhenItHasThemAgain() throws Exception {
    Jpcache.assumeInstalled("prlimit");
    media.formatted("512M");
    try (Server server = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      int used = descriptors(server);
      Jpcache.finish(
              new ProcessBuilder(
                  "prlimit",
                  "--pid",
                  Long.toString(server.pid()),
                  "--nofile=" + (used + SPARE_DESCRIPTORS) + ":"))
          .succeeded();
      List<SocketChannel> strangers = new ArrayList<>();
      for (int i = 0; i < STRANGERS; i++) {
        strangers.add(SocketChannel.open(UnixDomainSocketAddress.of(media.socket())));
      }
      for (int round = 0; round < 20; round++) {
        writeAll(client, round);
        readBack(client, round);
      }
      assertTrue(descriptors(server) > used, "none of the strangers was let in");
      assertTrue(descriptors(server) <= used + SPARE_DESCRIPTORS, "the limit was not one");
      for (SocketChannel stranger : strangers) {
        stranger.close();
      }
      readBackOnANewConnection(19);
      assertTrue(server.stderr().contains("Too many open files"), server::stderr);
      assertTrue(server.stderr().lines().count() < 10, server::stderr);
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  @Test
  void aCacheThatDoesNotFitIsNotMade() throws Exception {
    try (Tmpfs tmpfs = Tmpfs.mount(shm.resolve("t"), 300)) {
      Path cache = tmpfs.directory.resolve("cache");
      Media small = new Media(cache, media.backing(), media.socket());
      Jpcache.run("format", "--cache", cache.toString(), "--size", "512M")
          .failedSaying(cache.toString(), "512 MiB", "300 MiB");
      assertTrue(Files.notExists(cache), "a format that failed leaves no file");
      List<String> serve = new ArrayList<>(List.of(small.serveCommand()));
      serve.addAll(List.of("--create", "512M"));
      Jpcache.run(serve.toArray(String[]::new)).failedSaying(cache.toString(), "512 MiB");
      assertTrue(Files.notExists(cache), "a serve that failed leaves no file");
    }
  }

  /** A file whose holes cannot be filled would end the server at its first write to one. */
  @Test
  void aSparseCacheWhoseHolesCannotBeFilledIsNotServed() throws Exception {
    try (Tmpfs tmpfs = Tmpfs.mount(shm.resolve("t"), 300)) {
      Path cache = tmpfs.directory.resolve("cache");
      try (RandomAccessFile file = new RandomAccessFile(cache.toFile(), "rw")) {
        file.setLength(512 << 20);
      }
      Media sparse = new Media(cache, media.backing(), media.socket());
      Jpcache.run("format", "--cache", cache.toString()).failedSaying(cache.toString(), "512 MiB");
      Jpcache.run(sparse.serveCommand()).failedSaying(cache.toString(), "512 MiB");
    }
  }

  @Test
  void aServedCacheDoesNotMindThatItsFileSystemFillsUp() throws Exception {
    try (Tmpfs tmpfs = Tmpfs.mount(shm.resolve("t"), 560)) {
      Media full =
          new Media(tmpfs.directory.resolve("cache"), media.backing(), media.socket())
              .formatted("512M");
      try (Server server = Server.start(full.serveOptions());
          NbdClient client = NbdClient.unix(full.socket())) {
        client.go("");
        tmpfs.fill();
        for (int round = 0; round <= ROUNDS_OVER_SEGMENTS; round++) {
          writeAll(client, round);
        }
        readBack(client, ROUNDS_OVER_SEGMENTS);
        assertEquals(0, server.terminate(), server::stderr);
      }
      full.requireSound("on a full file system");
    }
  }

  private static byte[] payload(int block, int round) {
    int sectors = BLOCK_BYTES / Stamp.SECTOR_BYTES;
    return new Stamp(1).payload(round, 0, (long) block * sectors, sectors);
  }

  private static void writeAll(NbdClient client, int round) throws IOException {
    for (int block = 0; block < BLOCKS; block++) {
      client.write((long) block * BLOCK_BYTES, payload(block, round));
    }
  }

  private static void readBack(NbdClient client, int round) throws IOException {
    for (int block = 0; block < BLOCKS; block++) {
      assertArrayEquals(
          payload(block, round), client.read((long) block * BLOCK_BYTES, BLOCK_BYTES));
    }
  }

  /** The first ones may be accepted while the strangers' descriptors are still in use. */
  private void readBackOnANewConnection(int round) throws IOException {
    for (int attempts = 1; ; attempts++) {
      try (NbdClient late = NbdClient.unix(media.socket())) {
        late.go("");
        readBack(late, round);
        return;
      } catch (EOFException e) {
        assertTrue(attempts < 1000, "nobody is let in any more");
        LockSupport.parkNanos(10_000_000);
      }
    }
  }

  private static int descriptors(Server server) {
    Path directory = Path.of("/proc", Long.toString(server.pid()), "fd");
    return Objects.requireNonNull(directory.toFile().list()).length;
  }

  /** A small file system in memory. */
  private record Tmpfs(Path directory) implements AutoCloseable {
    /** Mounts one, or skips the test where that is not allowed. */
    static Tmpfs mount(Path directory, int mebibytes) throws IOException {
      Files.createDirectory(directory);
      Jpcache.Result result =
          Jpcache.finish(
              new ProcessBuilder(
                  "mount",
                  "-t",
                  "tmpfs",
                  "-o",
                  "size=" + mebibytes + "m",
                  "tmpfs",
                  name(directory)));
      assumeTrue(result.exit() == 0, () -> "cannot mount: " + result.err());
      return new Tmpfs(directory);
    }

    private static String name(Path directory) {
      return directory.toString();
    }

    /** Takes all that is left. */
    void fill() throws IOException {
      try (OutputStream out = Files.newOutputStream(directory.resolve("filler"))) {
        byte[] page = new byte[4096];
        while (true) {
          out.write(page);
        }
      } catch (IOException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("No space left"), e::toString);
      }
    }

    @Override
    public void close() {
      Jpcache.finish(new ProcessBuilder("umount", "-l", name(directory))).succeeded();
    }
  }
}
