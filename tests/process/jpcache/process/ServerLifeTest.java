package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import jpcache.base.Errno;
import jpcache.nbd.NbdClient;
import jpcache.support.MappedPages;
import jpcache.support.ShmDirectory;
import jpcache.support.Soon;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How a server begins and ends, and who may not share its devices meanwhile. */
class ServerLifeTest {
  private static final long BACKING_BYTES = 64 << 20;
  private static final int WRITE_BYTES = 64 << 10;

  private static final int WRITERS = 4;

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
  void readyNamesTheExportThatWasAskedForAndBehindItEveryOtherAddress() throws Exception {
    String[] options = {
      "--cache", media.cache().toString(), "--backing", media.backing().toString(),
      "--listen", "nbd://127.0.0.1:0/foo", "--listen", "nbd://127.0.0.1:0/",
      "--export", "v", "--control", shm.resolve("c").toString()
    };
    try (Server server = Server.start(options)) {
      assertTrue(server.uri().matches("nbd://127.0.0.1:[1-9]\\d*/foo"), server.uri());
      while (server.lines().size() < 2) { // they came together; the test's time limit is the end
        TimeUnit.MILLISECONDS.sleep(1);
      }
      String also = server.lines().getLast();
      assertTrue(also.matches("ALSO nbd://127.0.0.1:[1-9]\\d*/v"), also);
      String status = Jpcache.run("status", "--control", options[11]).succeeded().out();
      assertTrue(status.contains(server.uri() + " " + also.substring(5)), status);
      for (String uri : List.of(server.uri(), also.substring(5))) {
        URI address = URI.create(uri);
        for (String name : List.of("foo", "v", "")) {
          try (NbdClient client =
              NbdClient.tcp(new InetSocketAddress(address.getHost(), address.getPort()))) {
            assertEquals(BACKING_BYTES, client.go(name).sizeBytes());
          }
        }
      }
    }
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
        // What it had not begun on when it was told to end is refused.
        assertTrue(reply.error() == 0 || reply.error() == Errno.ESHUTDOWN, reply::toString);
        if (reply.error() == 0) {
          answered.add(offsets.get(reply.cookie()));
        }
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
  void onceItIsReadyItMapsAllOfTheCacheBeforeAnybodyWrites() throws Exception {
    try (Server server = Server.start(media.serveOptions())) {
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
      while (MappedPages.kib(server.pid(), media.cache()) < 512 << 10) {
        assertTrue(System.nanoTime() < end, "some of it is not mapped");
        TimeUnit.MILLISECONDS.sleep(20);
      }
    }
  }

  @Test
  void underLoadItStopsWithinFiveSecondsAndTheNextServerHasAllThatWasAcknowledged()
      throws Exception {
    Set<Long> acknowledged = new HashSet<>();
    Soon.within(5000, () -> stopUnderLoad(acknowledged));
    try (Server _ = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      for (long offset : acknowledged) {
        assertArrayEquals(payload(offset), client.read(offset, WRITE_BYTES));
      }
    }
  }

  /** Returns how long the stop took, with what was acknowledged before. */
  private long stopUnderLoad(Set<Long> acknowledged) throws Exception {
    List<Future<Set<Long>>> writers = new ArrayList<>();
    try (Server server = Server.start(media.serveOptions());
        ExecutorService threads = Executors.newFixedThreadPool(WRITERS)) {
      CountDownLatch underLoad = new CountDownLatch(2000);
      for (int i = 0; i < WRITERS; i++) {
        int writer = i;
        writers.add(threads.submit(() -> writeUntilTheEnd(writer, underLoad)));
      }
      underLoad.await();
      long begin = System.nanoTime();
      assertEquals(0, server.terminate(), server::stderr);
      long took = System.nanoTime() - begin;
      for (Future<Set<Long>> writer : writers) {
        acknowledged.addAll(writer.get());
      }
      return took;
    }
  }

  /** Writes at depth 16 until the server ends; returns where it acknowledged something. */
  private Set<Long> writeUntilTheEnd(int writer, CountDownLatch underLoad) throws IOException {
    Set<Long> acknowledged = new HashSet<>();
    Map<Long, Long> offsets = new HashMap<>();
    long places = BACKING_BYTES / WRITE_BYTES / WRITERS;
    try (NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      for (long i = 0; ; i++) {
        long offset = (writer + i % places * WRITERS) * WRITE_BYTES;
        offsets.put(client.sendWrite(offset, payload(offset), false), offset);
        if (offsets.size() == 16) {
          NbdClient.Reply reply = client.receive();
          long written = Objects.requireNonNull(offsets.remove(reply.cookie()));
          assertTrue(reply.error() == 0 || reply.error() == Errno.ESHUTDOWN);
          if (reply.error() == 0) {
            acknowledged.add(written);
            underLoad.countDown();
          }
        }
      }
    } catch (IOException e) {
      return acknowledged; // the server has closed
    }
  }

  @Test
  void anInterruptFromTheKeyboardIsAnOrderlyStopToo() throws Exception {
    assumeFalse(interruptsAreIgnored(), "SIGINT is ignored here, and by what is started from here");
    try (Server server = Server.start(media.serveOptions())) {
      Jpcache.finish(new ProcessBuilder("kill", "-INT", Long.toString(server.pid()))).succeeded();
      assertEquals(0, server.awaitExit(), server::stderr);
    }
  }

  /** As a fault in native code would. */
  @Test
  void aCrashOfTheJvmIsToldOnStderrAndLeavesNoFile() throws Exception {
    try (Server server = Server.start(media.serveOptions())) {
      server.signal("SEGV");
      assertNotEquals(0, server.awaitExit());
      assertTrue(server.stderr().contains("SIGSEGV"), server::stderr);
      assertTrue(server.stderr().contains("END."), "the report is whole: " + server.stderr());
      List<String> afterReady = server.lines().subList(1, server.lines().size());
      assertTrue(afterReady.stream().allMatch(line -> line.startsWith("#")), afterReady::toString);
      assertFalse(Files.exists(Path.of("hs_err_pid" + server.pid() + ".log")));
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

  /** A shell has what it starts in the background ignore SIGINT, and that is inherited. */
  private static boolean interruptsAreIgnored() throws IOException {
    final int sigintBit = 1 << 1;
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("SigIgn:"))
        .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & sigintBit) != 0);
  }
}
