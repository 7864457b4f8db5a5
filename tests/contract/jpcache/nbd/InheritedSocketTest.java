package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import jpcache.base.Posix;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sockets that a service manager opened: what the environment says, and what they must be. */
class InheritedSocketTest {
  private static final Listening PLAIN = Listening.on();

  @TempDir Path directory;

  @Test
  void theEnvironmentOfThisProcessNamesDescriptorsFromThreeOn() {
    Map<String, String> environment =
        Map.of("LISTEN_PID", "77", "LISTEN_FDS", "3", "LISTEN_FDNAMES", "tcp:unix");

    assertEquals(
        List.of(
            new InheritedSocket(3, "tcp"),
            new InheritedSocket(4, "unix"),
            new InheritedSocket(5, "")),
        InheritedSocket.of(environment, 77));
    assertEquals(List.of(), InheritedSocket.of(environment, 78), "meant for another process");
    assertEquals(List.of(), InheritedSocket.of(Map.of("LISTEN_FDS", "1"), 77));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "-1", "99999", "1 "})
  void aNumberOfSocketsThatIsNoneIsRefused(String count) {
    assertThrows(
        UserException.class,
        () -> InheritedSocket.of(Map.of("LISTEN_PID", "77", "LISTEN_FDS", count), 77));
  }

  private static String refusal(int fd) {
    UserException e =
        assertThrows(
            UserException.class, () -> ListenSocket.inherit(new InheritedSocket(fd, "nbd"), PLAIN));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("descriptor " + fd + " (nbd)"), message);
    return message;
  }

  @Test
  void aUnixSocketIsServedAndItsFileLeftToTheManager() throws IOException {
    Path path = directory.resolve("s");
    int fd = Sockets.socket(Sockets.AF_UNIX, true);
    try (SocketAddress address = new SocketAddress()) {
      address.unix(path.toString());
      assertEquals(0, Sockets.bind(fd, address.address(), address.bytes()));
      assertTrue(refusal(fd).endsWith("the unit needs Accept=no"));
      assertEquals(0, Sockets.listen(fd, 1));
    }
    try (ListenSocket socket = ListenSocket.inherit(new InheritedSocket(fd, ""), PLAIN);
        SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      assertEquals(NbdUri.unix(path.toString(), ""), socket.address());
      assertTrue(client.isConnected());
      int accepted = Sockets.accept(socket.fd());
      assertTrue(accepted >= 0);
      Posix.close(accepted);
      assertEquals(-11, Sockets.accept(socket.fd()), "it must not wait for the next");
    }
    assertTrue(Files.exists(path));
  }

  @Test
  void oneThatOtherMachinesReachIsHeldToTheSameRule() {
    int fd = Sockets.socket(Sockets.AF_INET, true);
    try (SocketAddress address = new SocketAddress()) {
      address.internet(InetAddress.ofLiteral("0.0.0.0"), 0);
      assertEquals(0, Sockets.bind(fd, address.address(), address.bytes()));
      assertEquals(0, Sockets.listen(fd, 1));
    }
    assertTrue(refusal(fd).contains("--insecure"));
    ListenSocket.inherit(new InheritedSocket(fd, ""), PLAIN.withInsecure(true)).close();
  }

  @Test
  void somethingElseIsNoSocket() throws IOException {
    Path file = Files.createFile(directory.resolve("file"));
    int fd = Posix.open(file.toString(), Posix.O_RDONLY, 0);
    assertTrue(refusal(fd).endsWith("not a socket"));
    Posix.close(fd);
    assertTrue(refusal(fd).endsWith("not a socket"));
  }
}
