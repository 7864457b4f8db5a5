package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.EOFException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How a server begins and ends, and who may not share its devices meanwhile. */
class ServerLifeTest {
  private static final long BACKING_BYTES = 64 << 20;
  private static final int WRITE_BYTES = 64 << 10;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  @Test
  void whatAnOrderlyStopStillAnsweredTheNextServerHas() throws Exception {
    Map<Long, Long> offsets = new HashMap<>();
    List<Long> answered = new ArrayList<>();
    try (Server server = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      assertEquals(BACKING_BYTES, server.sizeBytes());
      assertEquals(media.listenUri(), server.uri());
      client.go("");
      for (long offset = 0; offset < 64 * WRITE_BYTES; offset += WRITE_BYTES) {
        offsets.put(client.sendWrite(offset, payload(offset), false), offset);
      }
      assertEquals(0, server.terminate(), server::stderr);
      assertTrue(server.stderr().lines().count() <= 1, "a notice at most: " + server.stderr());
      while (true) {
        NbdClient.Reply reply = client.receive();
        assertEquals(0, reply.error());
        answered.add(offsets.get(reply.cookie()));
      }
    } catch (EOFException e) {
      // The server has closed, after its last answer.
    }
    assertFalse(answered.isEmpty(), "nothing was answered");
    assertFalse(Files.exists(media.socket()), "the socket goes with its server");
    try (Server _ = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      for (long offset : answered) {
        assertArrayEquals(payload(offset), client.read(offset, WRITE_BYTES));
      }
    }
  }

  @Test
  void anInterruptFromTheKeyboardIsAnOrderlyStopToo() throws Exception {
    try (Server server = Server.start(media.serveOptions())) {
      Jpcache.finish(new ProcessBuilder("kill", "-INT", Long.toString(server.pid()))).succeeded();
      assertEquals(0, server.awaitExit(), server::stderr);
    }
  }

  @Test
  void theSocketThatAKilledServerLeftIsTakenOver() throws Exception {
    try (Server server = Server.start(media.serveOptions())) {
      server.kill();
    }
    assertTrue(Files.exists(media.socket()), "a killed server cannot remove its socket");
    try (Server server = Server.start(media.serveOptions())) {
      assertEquals(64, Export.sha256(media.socket()).length());
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  @Test
  void aSecondServerOnTheSameCacheIsRefusedWithThePidOfTheFirst() {
    Media other =
        new Media(media.cache(), disk.resolve("other"), shm.resolve("o"))
            .withBacking(BACKING_BYTES);
    try (Server server = Server.start(media.serveOptions())) {
      serve(other).failedSaying(media.cache().toString(), Long.toString(server.pid()));
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  @Test
  void aSecondServerOnTheSameBackingDeviceIsRefusedWithThePidOfTheFirst() {
    Media other =
        new Media(shm.resolve("other"), media.backing(), shm.resolve("o")).formatted("512M");
    try (Server server = Server.start(media.serveOptions())) {
      serve(other).failedSaying(media.backing().toString(), Long.toString(server.pid()));
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  @Test
  void aSocketThatAServerListensOnIsNotTakenFromIt() throws Exception {
    Media other =
        new Media(shm.resolve("other"), disk.resolve("other"), media.socket())
            .withBacking(BACKING_BYTES)
            .formatted("512M");
    try (Server server = Server.start(media.serveOptions())) {
      serve(other).failedSaying(media.socket().toString());
      assertEquals(64, Export.sha256(media.socket()).length());
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  @Test
  void formatRefusesACacheThatIsBeingServed() {
    try (Server server = Server.start(media.serveOptions())) {
      Jpcache.run("format", "--cache", media.cache().toString(), "--force")
          .failedSaying(media.cache().toString(), Long.toString(server.pid()));
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  private static byte[] payload(long offset) {
    int sectors = WRITE_BYTES / Stamp.SECTOR_BYTES;
    return new Stamp(1).payload(1, 0, offset / Stamp.SECTOR_BYTES, sectors);
  }

  private static Jpcache.Result serve(Media media) {
    return Jpcache.run(media.serveCommand());
  }
}
