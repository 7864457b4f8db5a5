package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The server as systemd starts it, with a socket that is open already. The service manager is a few
 * lines of Perl, which every Debian has; ci/interop does it with systemd's own.
 */
class SocketActivationTest {
  /** Opens a unix socket and becomes the server. */
  private static final String MANAGER =
      """
      use Socket; use POSIX ();
      BEGIN { $^F = 255 }
      my ($path, $type) = splice @ARGV, 0, 2;
      socket(my $s, PF_UNIX, $type eq 'stream' ? SOCK_STREAM : SOCK_DGRAM, 0) or die $!;
      bind($s, sockaddr_un($path)) or die $!;
      if ($type eq 'stream') { listen($s, 16) or die $!; }
      POSIX::dup2(fileno($s), 3);
      $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_FDNAMES} = 'nbd';
      exec @ARGV;
      """;

  private static final long BACKING_BYTES = 64 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    Jpcache.assumeInstalled("perl");
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  private ProcessBuilder activate(String type, String... options) {
    List<String> all = new ArrayList<>(List.of("--cache", media.cache().toString()));
    all.addAll(List.of("--backing", media.backing().toString()));
    all.addAll(List.of(options));
    return activateWithoutMedia(type, all);
  }

  private ProcessBuilder activateWithoutMedia(String type, List<String> options) {
    List<String> command =
        new ArrayList<>(List.of("perl", "-e", MANAGER, media.socket().toString(), type));
    command.addAll(List.of(Jpcache.launcher(), "serve"));
    command.addAll(options);
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("XDG_RUNTIME_DIR", shm.toString());
    return builder;
  }

  @Test
  void theManagersSocketIsServedAndStaysTheManagers() throws IOException {
    byte[] data = new byte[4096];
    data[17] = 3;
    try (Server server = Server.launch(activate("stream")).awaitReady();
        NbdClient client = NbdClient.unix(media.socket())) {
      assertEquals("nbd+unix:///?socket=" + media.socket(), server.uri());
      client.go("");
      client.write(0, data);
      assertArrayEquals(data, client.read(0, 4096));
      assertEquals(0, server.terminate(), server::stderr);
    }
    assertTrue(Files.exists(media.socket()));
  }

  @Test
  void addressesOfItsOwnAreServedBesideIt() throws IOException {
    Path own = shm.resolve("own");
    try (Server _ =
            Server.launch(activate("stream", "--listen", "nbd+unix:///?socket=" + own))
                .awaitReady();
        NbdClient one = NbdClient.unix(media.socket());
        NbdClient two = NbdClient.unix(own)) {
      assertEquals(one.go("").sizeBytes(), two.go("").sizeBytes());
    }
  }

  @Test
  void aUnitWhoseOptionsAreLostServesNoThrowawayDiskOnTheManagersSocket() {
    Jpcache.Result result = Jpcache.finish(activateWithoutMedia("stream", List.of()));
    assertEquals(2, result.exit(), result::toString);
    assertTrue(
        result.err().contains("--cache PATH and --backing DEV are missing: sockets of systemd's"),
        result::toString);
    assertEquals("", result.out());
  }

  @Test
  void aSocketOfAnotherKindIsRefusedWithItsName() {
    Jpcache.Result result = Jpcache.finish(activate("datagram"));
    result.failedSaying("socket activation", "descriptor 3 (nbd)", "ListenStream=");
  }
}
