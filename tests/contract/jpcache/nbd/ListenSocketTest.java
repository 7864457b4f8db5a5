package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ListenSocketTest {
  @TempDir Path directory;

  private NbdUri unix() {
    return NbdUri.unix(directory.resolve("s").toString(), "");
  }

  private static String refusal(NbdUri uri) {
    UserException e =
        assertThrows(UserException.class, () -> ListenSocket.open(uri, false).close());
    String message = String.valueOf(e.getMessage());
    assertTrue(message.startsWith("cannot listen on " + uri), message);
    assertFalse(message.contains("\n"), message);
    return message;
  }

  @Test
  void replacesASocketThatADeadServerLeftBehind() throws IOException {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(directory.resolve("s"));
    try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      dead.bind(address);
    }
    assertTrue(Files.exists(address.getPath()));
    try (ListenSocket socket = ListenSocket.open(unix(), false);
        SocketChannel client = SocketChannel.open(address)) {
      assertEquals(unix(), socket.address());
      assertTrue(client.isConnected());
    }
    assertFalse(Files.exists(address.getPath()));
  }

  @Test
  void leavesASocketAloneThatSomebodyListensOn() throws IOException {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(directory.resolve("s"));
    try (ServerSocketChannel live = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      live.bind(address);
      assertTrue(refusal(unix()).endsWith("somebody listens there already"));
      try (SocketChannel client = SocketChannel.open(address)) {
        assertTrue(client.isConnected());
      }
    }
  }

  @Test
  void removesNothingThatIsNotASocket() throws IOException {
    Files.writeString(directory.resolve("s"), "precious");
    assertTrue(refusal(unix()).endsWith("not a socket"));
    assertEquals("precious", Files.readString(directory.resolve("s")));
    Files.delete(directory.resolve("s"));
    Files.createSymbolicLink(directory.resolve("s"), directory.resolve("elsewhere"));
    assertTrue(refusal(unix()).endsWith("not a socket"));
  }

  @Test
  void doesNotRemoveASocketThatTookItsPlace() throws IOException {
    Path path = directory.resolve("s");
    try (ServerSocketChannel other = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      try (ListenSocket socket = ListenSocket.open(unix(), false)) {
        Files.move(path, directory.resolve("moved"));
        other.bind(UnixDomainSocketAddress.of(path));
        assertEquals(unix(), socket.address());
      }
      assertTrue(Files.exists(path));
    }
  }

  @Test
  void saysWhatIsWrongWithAPath() {
    assertTrue(
        refusal(NbdUri.unix(directory.resolve("x".repeat(200)).toString(), ""))
            .contains("at most 107 bytes"));
    assertTrue(
        refusal(NbdUri.unix(directory.resolve("none/s").toString(), ""))
            .endsWith("No such file or directory"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1", "::1", "localhost"})
  void listensOnLoopbackAndTellsThePort(String host) throws IOException {
    try (ListenSocket socket = ListenSocket.open(NbdUri.tcp(host, 0, "ignored"), false)) {
      assertEquals(host, socket.address().host());
      assertEquals("", socket.address().exportName());
      InetSocketAddress address = new InetSocketAddress(host, socket.address().port());
      try (SocketChannel client = SocketChannel.open(address)) {
        assertTrue(client.isConnected());
      }
      assertTrue(refusal(socket.address()).endsWith("somebody listens there already"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0", "::"})
  void listensWiderOnlyWhenToldThatThatIsInsecure(String host) {
    NbdUri uri = NbdUri.tcp(host, 0, "");
    assertTrue(refusal(uri).contains("--insecure"));
    ListenSocket.open(uri, true).close();
  }

  @Test
  void saysThatAHostIsNotKnown() {
    assertTrue(refusal(NbdUri.tcp("no.such.host.invalid", 1, "")).endsWith("not known"));
  }
}
