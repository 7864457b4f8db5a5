package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import jpcache.base.CFunction;
import jpcache.base.Posix;
import jpcache.base.UserException;
import jpcache.tls.TestAuthority;
import jpcache.tls.TlsKeys;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ListenSocketTest {
  private static final Listening PLAIN = Listening.on();

  @TempDir Path directory;

  private NbdUri unix() {
    return NbdUri.unix(directory.resolve("s").toString(), "");
  }

  private static String refusal(NbdUri uri) {
    UserException e =
        assertThrows(UserException.class, () -> ListenSocket.open(uri, PLAIN).close());
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
    try (ListenSocket socket = ListenSocket.open(unix(), PLAIN);
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
      try (ListenSocket socket = ListenSocket.open(unix(), PLAIN)) {
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
    try (ListenSocket socket = ListenSocket.open(NbdUri.tcp(host, 0, "named"), PLAIN)) {
      assertEquals(host, socket.address().host());
      assertEquals("named", socket.address().exportName());
      InetSocketAddress address = new InetSocketAddress(host, socket.address().port());
      try (SocketChannel client = SocketChannel.open(address)) {
        assertTrue(client.isConnected());
      }
      assertTrue(
          refusal(socket.address().withExport("")).endsWith("somebody listens there already"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0", "::"})
  void listensWiderOnlyWhenToldThatThatIsInsecure(String host) {
    NbdUri uri = NbdUri.tcp(host, 0, "");
    assertTrue(refusal(uri).contains("--insecure"));
    ListenSocket.open(uri, PLAIN.withInsecure(true)).close();
  }

  @Test
  void listensWiderWhereTlsIsRequiredButNotWhereItIsOnlyOffered() {
    TlsKeys keys = TestAuthority.serverKeys(directory.resolve("tls"));
    NbdUri uri = NbdUri.tcp("0.0.0.0", 0, "");

    try (ListenSocket socket = ListenSocket.open(uri, PLAIN.withTls(TlsPolicy.REQUIRED, keys))) {
      assertTrue(socket.address().tls());
    }
    try (ListenSocket socket =
        ListenSocket.open(uri.withTls(true), PLAIN.withTls(TlsPolicy.OFF, keys))) {
      assertEquals(TlsPolicy.REQUIRED, socket.tls().policy());
    }
    assertThrows(
        UserException.class, () -> ListenSocket.open(uri, PLAIN.withTls(TlsPolicy.ON, keys)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0600, 0660, 0606, 0777, 0})
  void aSocketsFileHasTheModeItWasGiven(int mode) throws IOException {
    Path path = directory.resolve("s");
    try (ListenSocket _ = ListenSocket.open(unix(), PLAIN.withSocketMode(mode))) {
      int actual = (Integer) Files.getAttribute(path, "unix:mode");
      assertEquals(Integer.toOctalString(mode), Integer.toOctalString(actual & 0777));
    }
  }

  @Test
  void aSocketsFileHasTheOwnerItWasGiven() throws IOException {
    assumeTrue(Files.isWritable(Path.of("/etc/shadow")), "only root gives files away");
    Path path = directory.resolve("s");
    Listening how = PLAIN.withSocketOwner(SocketOwner.parse("12345:daemon"));
    try (ListenSocket _ = ListenSocket.open(unix(), how)) {
      assertEquals(12345, Files.getAttribute(path, "unix:uid"));
      assertEquals("daemon", String.valueOf(Files.getAttribute(path, "posix:group")));
    }
    try (ListenSocket _ =
        ListenSocket.open(unix(), PLAIN.withSocketOwner(SocketOwner.parse(":daemon")))) {
      assertEquals(0, Files.getAttribute(path, "unix:uid"));
    }
  }

  /** A descriptor that is closed a second time may be somebody else's by then. */
  @Test
  void anOwnerThatCannotBeSetLeavesNoFileAndClosesNobodysDescriptor() throws Exception {
    AtomicInteger lost = new AtomicInteger();
    AtomicBoolean done = new AtomicBoolean();
    Thread other =
        Thread.ofPlatform()
            .start(() -> {
              while (!done.get()) {
                lost.addAndGet(Posix.close(Posix.eventfd()) == 0 ? 0 : 1);
              }
            });
    Listening how = PLAIN.withSocketOwner(SocketOwner.parse("12345"));
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread unprivileged =
        Thread.ofPlatform()
            .uncaughtExceptionHandler((_, e) -> failure.set(e))
            .start(() -> {
              giveNothingAway();
              for (int i = 0; i < 100; i++) {
                assertThrows(UserException.class, () -> ListenSocket.open(unix(), how).close());
                assertFalse(Files.exists(directory.resolve("s")));
              }
            });
    unprivileged.join();
    done.set(true);
    other.join();
    assertNull(failure.get());
    assertEquals(0, lost.get());
  }

  /** From now on this thread cannot change the owner of files (CAP_CHOWN), whosever it is. */
  private static void giveNothingAway() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment header = arena.allocate(8, 8);
      header.set(ValueLayout.JAVA_INT, 0, 0x20080522); // the version; the thread is this one
      MemorySegment sets = arena.allocate(24, 8);
      assertEquals(0, CFunction.returningInt("capget").call(header.address(), sets.address()));
      sets.set(ValueLayout.JAVA_INT, 0, sets.get(ValueLayout.JAVA_INT, 0) & ~1);
      assertEquals(0, CFunction.returningInt("capset").call(header.address(), sets.address()));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", ":", "no-such-user-here", "root:no-such-group-here"})
  void anOwnerThatThereIsNotIsNamed(String text) {
    UserException e = assertThrows(UserException.class, () -> SocketOwner.parse(text));
    assertTrue(String.valueOf(e.getMessage()).startsWith(text + ": "), e.getMessage());
  }

  @Test
  void saysThatAHostIsNotKnown() {
    assertTrue(refusal(NbdUri.tcp("no.such.host.invalid", 1, "")).endsWith("not known"));
  }
}
