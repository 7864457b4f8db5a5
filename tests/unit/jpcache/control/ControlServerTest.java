package jpcache.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.AbstractMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import jpcache.Seeds;
import jpcache.base.UserException;
import jpcache.control.ControlCommand.Answer;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(300)
class ControlServerTest {
  private static final long PATIENCE_MS = 20_000;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final AtomicReference<ControlServer> server = new AtomicReference<>();
  private final CountDownLatch ended = new CountDownLatch(1);

  private Path path() {
    return shm.resolve("c");
  }

  @BeforeEach
  void listen() {
    Map<String, ControlCommand> commands =
        Map.of(
            "echo",
            ControlServerTest::echo,
            "many",
            _ -> Answer.of("x".repeat(500_000), "end"),
            "refuse",
            _ -> {
              throw new UserException("not now\nnor later");
            },
            "break",
            _ -> {
              throw new IllegalStateException("broken");
            },
            "end",
            _ -> new Answer(List.of("ending"), ended::countDown));
    server.set(ControlServer.start(path(), commands));
  }

  @AfterEach
  void close() {
    server.get().close();
  }

  /** How many selectors the process has. */
  private static long selectors() throws IOException {
    try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
      return descriptors.filter(ControlServerTest::isSelector).count();
    }
  }

  private static boolean isSelector(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString().contains("eventpoll");
    } catch (IOException e) {
      return false; // it has been closed meanwhile
    }
  }

  @Test
  void aServerThatClosesLeavesNoSelector() throws IOException {
    long before = selectors();
    ControlServer.start(shm.resolve("other"), Map.of()).close();
    assertEquals(before, selectors());
  }

  @Test
  void aServerThatCannotBeginLeavesNoSocket() {
    Path path = shm.resolve("other");
    Map<String, ControlCommand> bad =
        new AbstractMap<>() {
          @Override
          public Set<Entry<String, ControlCommand>> entrySet() {
            throw new IllegalStateException("a test");
          }
        };
    assertThrows(IllegalStateException.class, () -> ControlServer.start(path, bad));
    assertFalse(Files.exists(path));
  }

  private static Answer echo(List<String> words) {
    return new Answer(words, null);
  }

  private List<String> ask(String... words) {
    return new ControlClient(List.of(shm.resolve("none"), path())).ask(PATIENCE_MS, words);
  }

  private String refusal(String... words) {
    return String.valueOf(assertThrows(UserException.class, () -> ask(words)).getMessage());
  }

  @Test
  void aCommandGetsItsWordsAndItsLinesComeBack() {
    assertEquals(List.of("one", "zwölf"), ask("echo", "one", "zwölf"));
    assertEquals(List.of(), ask("echo"));
    assertEquals(List.of("x".repeat(500_000), "end"), ask("many"));
  }

  @Test
  void whatCannotBeDoneIsToldInOneLineAndTheServerGoesOn() {
    assertEquals("not now nor later", refusal("refuse"));
    assertTrue(refusal("break").contains("broken"));
    assertTrue(refusal("nonsense").contains("break, echo, end, many, refuse"));
    assertTrue(refusal("").contains("no such command"));
    assertEquals(List.of("still"), ask("echo", "still"));
  }

  @Test
  void whereNobodyAnswersItSaysWhereItLooked() {
    server.get().close();
    String message = refusal("echo");
    assertTrue(message.contains(path().toString()), message);
    assertTrue(message.contains(shm.resolve("none").toString()), message);
  }

  @Test
  void theSocketIsItsUsersAloneAndGoesWithTheServer() throws IOException {
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path())));
    server.get().close();
    assertFalse(Files.exists(path()));
  }

  @Test
  void aSocketThatIsListenedOnIsNotTaken() {
    UserException e =
        assertThrows(UserException.class, () -> ControlServer.start(path(), Map.of()).close());
    assertTrue(String.valueOf(e.getMessage()).contains(path().toString()), e.getMessage());
    assertEquals(List.of("mine"), ask("echo", "mine"));
  }

  @Test
  void aSocketThatADeadServerLeftIsReplaced() throws IOException {
    Path stale = shm.resolve("stale");
    try (var dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      dead.bind(UnixDomainSocketAddress.of(stale));
    }
    assertTrue(Files.exists(stale));
    try (ControlServer _ = ControlServer.start(stale, Map.of("echo", ControlServerTest::echo))) {
      assertEquals(
          List.of("hello"), new ControlClient(List.of(stale)).ask(PATIENCE_MS, "echo", "hello"));
    }
  }

  @Test
  void aFileThatIsNoSocketIsLeftAlone() throws IOException {
    Path file = Files.writeString(shm.resolve("file"), "precious");
    assertThrows(UserException.class, () -> ControlServer.start(file, Map.of()).close());
    assertEquals("precious", Files.readString(file));
  }

  @Test
  void aPathThatIsTooLongForASocketIsRefusedByName() {
    Path tooLong = shm.resolve("x".repeat(120));
    UserException e =
        assertThrows(UserException.class, () -> ControlServer.start(tooLong, Map.of()).close());
    assertTrue(String.valueOf(e.getMessage()).contains(tooLong.toString()), e.getMessage());
  }

  @Test
  void theEndIsAnsweredFirstAndThePeerWaitsForTheProcess() throws Exception {
    try (SocketChannel peer = raw("end\n")) {
      ByteBuffer answer = ByteBuffer.allocate(100);
      while (answer.position() < "ok\nending\n".length()) {
        assertTrue(peer.read(answer) > 0);
      }
      ended.await();
      peer.configureBlocking(false);
      assertEquals(0, peer.read(answer), "open until the process is gone");
    }
  }

  // ---- peers that do what no peer should ----

  private SocketChannel raw(String bytes) throws IOException {
    return raw(bytes.getBytes(StandardCharsets.ISO_8859_1));
  }

  private SocketChannel raw(byte[] bytes) throws IOException {
    SocketChannel peer = SocketChannel.open(UnixDomainSocketAddress.of(path()));
    peer.write(ByteBuffer.wrap(bytes));
    return peer;
  }

  @Test
  void aRequestWithoutEndOrOfForeignBytesEndsTheConnectionAlone() throws IOException {
    String[] requests = {
      "x".repeat(ControlServer.MAX_REQUEST_BYTES + 1), "echo\u00ff\u00fe\n", "\0\0\0\n", "\n", ""
    };
    for (String request : requests) {
      try (SocketChannel peer = raw(request)) {
        peer.shutdownOutput();
        ByteBuffer answer = ByteBuffer.allocate(1 << 16);
        try {
          while (peer.read(answer) >= 0) {}
        } catch (IOException e) {
          // A reset, with bytes unread: as good an end.
        }
        String text = StandardCharsets.UTF_8.decode(answer.flip()).toString();
        assertTrue(text.isEmpty() || text.startsWith("error "), text);
      }
    }
    assertEquals(List.of("still"), ask("echo", "still"));
  }

  @Test
  void randomBytesDoNoHarm() throws IOException {
    Random random = new Random(Seeds.next(ControlServerTest.class));
    for (int round = 0; round < 300; round++) {
      byte[] noise = new byte[random.nextInt(2000)];
      random.nextBytes(noise);
      try (SocketChannel peer = raw(noise)) {
        peer.shutdownOutput();
      } catch (IOException e) {
        // The server may close while this still sends.
      }
    }
    assertEquals(List.of("still"), ask("echo", "still"));
  }

  @Test
  void aSilentPeerAndOneThatReadsNothingHoldUpOthersForSecondsOnly() throws IOException {
    try (SocketChannel silent = raw("ec");
        SocketChannel deaf = raw("many\n")) {
      assertEquals(List.of("still"), ask("echo", "still"));
      assertTrue(silent.isOpen() && deaf.isOpen());
    }
  }
}
