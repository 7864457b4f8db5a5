package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import jpcache.JsonCheck;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands for a running server, each a process beside the server's. */
class ControlProcessTest {
  private static final long BACKING_BYTES = 64 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  /** A command for the server of this cache, in this test's own runtime directory. */
  private ProcessBuilder command(String... arguments) {
    ProcessBuilder command = Jpcache.command(arguments);
    command.environment().put("XDG_RUNTIME_DIR", shm.toString());
    return command;
  }

  private Jpcache.Result ask(String... arguments) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--cache", media.cache().toString()));
    return Jpcache.finish(command(all.toArray(String[]::new)));
  }

  private Server serve(String... options) {
    List<String> all = new ArrayList<>(List.of(media.serveOptions(options)));
    all.addFirst("serve");
    return Server.launch(command(all.toArray(String[]::new))).awaitReady();
  }

  private static String value(Jpcache.Result status, String name) {
    Matcher line =
        Pattern.compile("(?m)^ *" + Pattern.quote(name) + ": (.*)$").matcher(status.out());
    assertTrue(line.find(), () -> "no " + name + ": " + status);
    return line.group(1);
  }

  @Test
  void statusShowsTheKernelsLineAndWhatTheServerDid() throws Exception {
    try (Server server = serve();
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      client.write(0, new byte[4096]);
      client.read(0, 4096);
      client.read(1 << 20, 512);
      Jpcache.Result status = ask("status").succeeded();
      String[] kernel = value(status, "kernel_status").split(" ", -1);
      assertEquals(9, kernel.length, status::toString);
      assertEquals(value(status, "seg_total"), kernel[1]);
      assertEquals(value(status, "segs_used"), kernel[3]);
      assertEquals("0x" + kernel[5], value(status, "cache_flags"));
      assertEquals(value(status, "key_tail"), kernel[8]);
      assertEquals(Long.toString(server.pid()), value(status, "pid"));
      assertEquals("nbd+unix:///?socket=" + media.socket(), value(status, "listen"));
      assertEquals("ack", value(status, "durability"));
      assertEquals("off", value(status, "read_only"));
      assertEquals("0", value(status, "jpcache_writeback_bytes_per_second"));
      assertEquals("1", value(status, "jpcache_nbd_requests_total{kind=\"write\"}"));
      assertEquals("2", value(status, "jpcache_nbd_requests_total{kind=\"read\"}"));
      assertEquals("1", value(status, "jpcache_read_hits_total"));
      assertEquals("1", value(status, "jpcache_read_misses_total"));
      assertEquals("512", value(status, "jpcache_read_miss_bytes_total"));
      assertEquals("1", value(status, "jpcache_nbd_connections"));
      ask("flush").succeeded();
      Jpcache.Result flushed = ask("status").succeeded();
      assertNotEquals("0", value(flushed, "jpcache_writeback_bytes_per_second"));
      ask("status", "--export", "zz").failedSaying("no export zz", "the only one has no name");

      String json = ask("status", "--json").succeeded().out();
      assertTrue(json.contains("\"jpcache_nbd_connections\": 1"), json);
      assertTrue(json.contains("\"mode\": \"write-back\""), json);
      assertTrue(json.contains("\"data_crc\": false"), json);
      assertTrue(json.contains("\"read_only\": false"), json);
      assertTrue(json.contains("\"sb_flags\": 0,"), json);
      assertTrue(json.contains("\"export\": \"\""), json);
      assertTrue(
          json.contains("\"listen\": [\"nbd+unix:///?socket=" + media.socket() + "\"]"), json);
      JsonCheck.check(json);
    }
  }

  @Test
  void theGcPercentageIsChangedAtOnceAndForGood() {
    try (Server server = serve()) {
      String set = ask("set", "gc-percent", "41", "--json").succeeded().out();
      assertEquals("{\"gc_percent\": 41}\n", set);
      assertEquals("41", value(ask("status").succeeded(), "gc_percent"));
      assertEquals("41", value(ask("status").succeeded(), "gc_percent"));
      assertEquals(0, server.terminate(), server::stderr);
    }
    String dump = Jpcache.run("dump", "--cache", media.cache().toString()).succeeded().out();
    assertTrue(dump.contains("gc_percent: 41"), dump);
    try (Server _ = serve()) {
      assertEquals("41", value(ask("status").succeeded(), "gc_percent"));
    }
  }

  private byte backingByte(long offset) throws IOException {
    try (var file = new RandomAccessFile(media.backing().toFile(), "r")) {
      file.seek(offset);
      return file.readByte();
    }
  }

  private static byte[] block(int fill) {
    byte[] block = new byte[4096];
    Arrays.fill(block, (byte) fill);
    return block;
  }

  @Test
  void aModeIsChangedAtOnceAndForGoodAndDirtyDataIsDrained() throws Exception {
    try (Server server = serve("--dirty-age", "3600");
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      client.write(0, block(1));
      Jpcache.Result changed = ask("set", "mode", "write-through").succeeded();
      assertTrue(changed.err().contains("the kernel"), changed::toString);
      paste(changed.err()).succeeded();
      assertEquals("write-back", value(ask("status"), "mode"));
      ask("set", "mode", "write-through").succeeded();
      assertEquals(1, backingByte(0), "drained");
      client.write(4096, block(2));
      assertEquals(2, backingByte(4096), "through");
      assertEquals("write-through", value(ask("status").succeeded(), "mode"));
      assertEquals(0, server.terminate(), server::stderr);
    }
    try (Server server = serve()) {
      assertTrue(server.stderr().contains("write-through"), server::stderr);
      assertEquals("", ask("set", "mode", "write-back").succeeded().err());
      assertEquals("write-back", value(ask("status").succeeded(), "mode"));
    }
  }

  @Test
  void flushBringsEverythingToTheBackingDevice() throws Exception {
    try (Server _ = serve("--dirty-age", "3600");
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      client.write(0, block(1));
      assertEquals(0, backingByte(0));
      String flushed = ask("flush", "--json").succeeded().out();
      assertEquals("{\"flushed_bytes\": 4096}\n", flushed);
      assertEquals(1, backingByte(0));
      assertEquals("0", value(ask("status").succeeded(), "jpcache_dirty_bytes"));
    }
  }

  /** A limit on the size of files makes a device whose end cannot be written. */
  private Server serveWithBrokenEnd(String... options) {
    List<String> all = new ArrayList<>(List.of(media.serveOptions(options)));
    all.addFirst("serve");
    List<String> shell = List.of("bash", "-c", "ulimit -f 32768; exec \"$@\"", "bash");
    ProcessBuilder limited = command(all.toArray(String[]::new));
    limited.command().addAll(0, shell);
    return Server.launch(limited).awaitReady();
  }

  @Test
  void whatCannotBeWrittenBackIsToldByFlushAndByStop() throws Exception {
    try (Server server = serveWithBrokenEnd("--writeback-on-stop", "--dirty-age", "3600");
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      client.write(BACKING_BYTES - 4096, block(1));
      ask("flush").failedSaying(media.backing().toString(), "File too large", "4 KiB");
      assertTrue(server.stderr().contains("File too large; it stays"), server::stderr);
      ask("set", "mode", "write-through")
          .failedSaying("write-through is in force", "dirty data remains", "4 KiB");
      ask("stop").failedSaying(media.backing().toString(), "File too large", "keeps it");
      assertEquals(1, server.awaitExit(), server::stderr);
    }
    try (Server _ = serve()) {
      ask("flush").succeeded();
    }
    assertEquals(1, backingByte(BACKING_BYTES - 4096), "nothing was lost");
  }

  @Test
  void stopEndsTheServerInOrderAndReturnsWhenItIsGone() throws IOException {
    try (Server server = serve()) {
      String stopped = ask("stop", "--json").succeeded().out();
      assertEquals("{\"pid\": " + server.pid() + "}\n", stopped);
      assertFalse(ProcessHandle.of(server.pid()).map(ProcessHandle::isAlive).orElse(false));
      assertEquals(0, server.awaitExit(), server::stderr);
      ask("status").failedSaying("no server", shm.toString());
      Jpcache.finish(command("status", "--cache", "/nowhere")).failedSaying("does not exist");
    }
    try (Stream<Path> left = Files.list(shm)) {
      assertEquals(List.of(media.cache()), left.toList(), "its sockets are gone");
    }
  }

  @Test
  void aThreadDumpDoesNotReachThoseWhoWaitForReady() throws Exception {
    try (Server server = serve()) {
      server.signal("QUIT");
      for (int i = 0; i < 100 && !server.stderr().contains("Full thread dump"); i++) {
        Thread.sleep(100);
      }
      assertTrue(server.stderr().contains("Full thread dump"), server::stderr);
      assertEquals(0, server.terminate(), server::stderr);
      assertEquals(1, server.lines().size(), () -> server.lines().toString());
    }
  }

  @Test
  void topShowsItSoOftenAndEnds() {
    try (Server server = serve()) {
      Jpcache.Result top = ask("top", "--count", "2").succeeded();
      assertEquals(2, top.out().lines().filter(l -> l.contains("requests/s")).count(), top.out());
      assertFalse(top.out().contains("\u001b"), "no terminal, no controls");
      server.kill();
      ask("top").failedSaying("no server");
    }
  }

  @Test
  void topsFirstFrameHasTheRatesOfItsInterval() throws Exception {
    try (Server _ = serve();
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      AtomicBoolean enough = new AtomicBoolean();
      Thread load = Thread.ofPlatform().start(() -> writeUntil(enough, client));
      String json = ask("top", "--count", "1", "--json").succeeded().out();
      String text = ask("top", "--count", "1").succeeded().out();
      enough.set(true);
      load.join();

      assertEquals(1, json.lines().count(), json);
      JsonCheck.check(json);
      assertTrue(json.matches("(?s).*\"write\": \\{\"requests_per_second\": [1-9].*"), json);
      assertTrue(text.lines().anyMatch(l -> l.matches("write +[1-9].* us .*")), text);
      assertTrue(text.lines().anyMatch(l -> l.matches("read +0 +0 B +- .*")), text);
    }
  }

  private static void writeUntil(AtomicBoolean enough, NbdClient client) {
    try {
      while (!enough.get()) {
        client.write(0, new byte[4096]);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void topEndsWhenItsReaderIsGone() {
    try (Server _ = serve()) {
      ProcessBuilder top = command("top", "--cache", media.cache().toString());
      top.command().addAll(0, List.of("bash", "-c", "\"$@\" | head -2", "bash"));
      assertEquals(2, Jpcache.finish(top).succeeded().out().lines().count());
    }
  }

  @Test
  void aServerTellsWhichOneIsMissing() {
    Jpcache.Result result = Jpcache.finish(command("status"));
    assertEquals(2, result.exit(), result::toString);
    assertTrue(result.err().contains("--cache"), result::toString);
  }

  /** Runs the command that a message names, as a user does who copies it. */
  private Jpcache.Result paste(String message) {
    Matcher hint = Pattern.compile("`jpcache (set .*)`").matcher(message);
    assertTrue(hint.find(), message);
    ProcessBuilder shell =
        new ProcessBuilder("sh", "-c", "exec " + Jpcache.launcher() + " " + hint.group(1));
    shell.environment().put("XDG_RUNTIME_DIR", shm.toString());
    return Jpcache.finish(shell);
  }

  @Test
  void theHintHowToChangeAModeBackWorksAsItStands() throws IOException {
    Path place = Files.createDirectory(shm.resolve("it's here"));
    media = new Media(place.resolve("cache"), media.backing(), media.socket());
    media.formatted("512M", "--mode", "write-through");
    try (Server server = serve()) {
      paste(server.stderr()).succeeded();
      assertEquals("write-back", value(ask("status").succeeded(), "mode"));
      ask("set", "mode", "write-through").succeeded();
    }
    String control = place.resolve("control").toString();
    try (Server server = serve("--control", control)) {
      paste(server.stderr()).succeeded();
      Jpcache.Result status = Jpcache.finish(command("status", "--control", control)).succeeded();
      assertEquals("write-back", value(status, "mode"));
      Jpcache.run("set", "mode", "write-through", "--control", control).succeeded();
    }
    List<String> other = new ArrayList<>(List.of(media.serveOptions("--mode", "write-around")));
    other.addFirst("serve");
    Jpcache.Result refused = Jpcache.run(other.toArray(String[]::new));
    try (Server _ = serve()) {
      paste(refused.err()).succeeded();
      assertEquals("write-around", value(ask("status").succeeded(), "mode"));
    }
  }

  @Test
  void aControlSocketOfOnesOwnIsRespectedReplacedWhenStaleAndNeverShared() {
    String control = shm.resolve("control").toString();
    try (Server killed = serve("--control", control)) {
      Jpcache.finish(command("status", "--control", control)).succeeded();
      ask("status")
          .failedSaying("no server answers", "process " + killed.pid() + " (java)", "--control");
      Media other =
          new Media(shm.resolve("other"), disk.resolve("other"), shm.resolve("o"))
              .withBacking(BACKING_BYTES)
              .formatted("512M");
      Jpcache.run(
              Stream.concat(Stream.of("serve"), Stream.of(other.serveOptions("--control", control)))
                  .toArray(String[]::new))
          .failedSaying(control, "another server");
      killed.kill();
    }
    assertTrue(Files.exists(Path.of(control)), "a killed server cannot remove its socket");
    Jpcache.finish(command("status", "--control", control)).failedSaying(control);
    try (Server _ = serve("--control", control)) {
      Jpcache.finish(command("status", "--control", control)).succeeded();
    }
  }

  @Test
  void metricsAreServedWhereTheyAreAskedFor() throws Exception {
    int port = freePort();
    try (Server _ = serve("--metrics", Integer.toString(port));
        HttpClient client = HttpClient.newHttpClient()) {
      URI uri = URI.create("http://127.0.0.1:" + port + "/metrics");
      HttpResponse<String> answer =
          client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
      assertEquals(200, answer.statusCode());
      assertTrue(answer.body().contains("\njpcache_segments 31\n"), answer.body());
      assertTrue(answer.body().contains("\njpcache_nbd_connections 0\n"), answer.body());
    }
    Jpcache.run(
            Stream.concat(
                    Stream.of("serve"), Stream.of(media.serveOptions("--metrics", "0.0.0.0:1")))
                .toArray(String[]::new))
        .failedSaying("0.0.0.0:1", "--insecure");
  }

  private static int freePort() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
