package jpcache.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

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
import java.nio.file.attribute.UserPrincipal;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import jpcache.base.CFunction;
import jpcache.base.UserException;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Servers that are not what the client is looking for. */
@Timeout(300)
class ControlClientTest {
  private static final long PATIENCE_MS = 20_000;
  private static final int OTHER_UID = 12345;
  private static final int SETRESUID =
      System.getProperty("os.arch", "").equals("aarch64") ? 147 : 117;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private static UserPrincipal user(String name) throws IOException {
    return Path.of("/").getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName(name);
  }

  private static boolean isRoot() throws IOException {
    return Peers.self().equals(user("root"));
  }

  private Path directory(String name, String permissions, UserPrincipal owner) throws IOException {
    Path directory = Files.createDirectories(shm.resolve(name));
    Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString(permissions));
    return Files.setOwner(directory, owner);
  }

  /** A server that answers one request with what it is given. */
  private static Thread answerOnce(ServerSocketChannel listener, String answer) {
    return Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try (SocketChannel peer = listener.accept()) {
            peer.read(ByteBuffer.allocate(1000));
            peer.write(ByteBuffer.wrap(answer.getBytes(StandardCharsets.UTF_8)));
          } catch (IOException e) {
            // The client did not ask.
          }
        });
  }

  private static List<String> ask(Path place) {
    return new ControlClient(List.of(place)).ask(PATIENCE_MS, "status");
  }

  @Test
  void whatAServerAnswersCannotMoveTheCursor() throws IOException {
    Path place = shm.resolve("c");
    try (ServerSocketChannel mine = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      mine.bind(UnixDomainSocketAddress.of(place));
      answerOnce(mine, "ok\na\u001b[2Jb\u009b2Jc\u202ed\nnext\n");
      assertEquals(List.of("a [2Jb 2Jc d", "next"), ask(place));

      answerOnce(mine, "error a\u001b[2Jb\n");
      UserException e = assertThrows(UserException.class, () -> ask(place));
      assertEquals("a [2Jb", e.getMessage());
    }
  }

  @Test
  void aServerOfAnotherUserIsNotBelieved() throws Exception {
    assumeTrue(isRoot(), "only root can be somebody else");
    Path place = directory(".", "rwxrwxrwx", user("root")).resolve("c");
    try (ServerSocketChannel theirs = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      listenAsSomebodyElse(theirs, place);
      answerOnce(theirs, "ok\nall is written back\n");

      UserException e = assertThrows(UserException.class, () -> ask(place));
      String message = String.valueOf(e.getMessage());
      assertTrue(
          message.startsWith("control socket " + place + ": user " + OTHER_UID + " listens there"),
          message);
    }
  }

  /** By a thread that is another user from then on; the process stays what it is. */
  private static void listenAsSomebodyElse(ServerSocketChannel listener, Path place)
      throws InterruptedException {
    AtomicReference<Object> result = new AtomicReference<>("nothing");
    Thread.ofPlatform()
        .start(() -> {
          result.set(CFunction.returningLong("syscall").call(SETRESUID, -1, OTHER_UID, -1));
          try {
            listener.bind(UnixDomainSocketAddress.of(place));
          } catch (IOException e) {
            result.set(e);
          }
        })
        .join();
    assertEquals(0L, result.get());
  }

  @Test
  void aServerIsBelievedIfItIsThisUsersOrRoots() throws IOException {
    Path place = Path.of("/tmp/jpcache-1/c");
    UserPrincipal root = user("root");
    UserPrincipal one = user("12345");
    UserPrincipal two = user("12346");

    assertTrue(Peers.mayAnswer(one, one, place));
    assertTrue(Peers.mayAnswer(root, one, place));
    assertFalse(Peers.mayAnswer(two, one, place));
    assertTrue(Peers.mayAnswer(root, root, place));
  }

  @Test
  void rootBelievesWhomItGaveTheDirectory() throws IOException {
    assumeTrue(isRoot(), "only root gives directories away");
    UserPrincipal root = user("root");
    UserPrincipal one = user("12345");
    Path run = directory("run", "rwxr-xr-x", root);
    Path given = directory("run/one", "rwxr-xr-x", one);
    Path shared = directory("run/shared", "rwxrwxr-x", one);
    Path made = directory("tmp", "rwxrwxrwx", root);
    Path inMade = directory("tmp/jpcache-0", "rwx------", one);
    Path link = Files.createSymbolicLink(made.resolve("link"), given);

    assertTrue(Peers.mayAnswer(one, root, given.resolve("c")));
    for (Path elsewhere : List.of(run, shared, made, inMade, link)) {
      assertFalse(Peers.mayAnswer(one, root, elsewhere.resolve("c")), elsewhere::toString);
    }
    assertFalse(Peers.mayAnswer(user("12346"), root, given.resolve("c")));
    assertFalse(Peers.mayAnswer(one, user("12346"), given.resolve("c")));
  }
}
