package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.Golden;
import jpcache.Sha256;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A cache is served in front of the device that it was made for, and of no other unasked. */
class LabelProcessTest {
  private static final long BACKING_BYTES = 64 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void make() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  private Media before(Path backing) {
    return new Media(media.cache(), backing, media.socket());
  }

  /** Serves until it is ready, and gives what it said on stderr. */
  private static String serve(Media media, String... options) {
    try (Server server = Server.start(media.serveOptions(options))) {
      assertEquals(0, server.terminate(), server::stderr);
      return server.stderr();
    }
  }

  private String dump() {
    return Jpcache.run("dump", "--cache", media.cache().toString()).succeeded().out();
  }

  @Test
  void anotherDeviceIsRefusedNamingBothAndServedWhenForcedFromThenOn() {
    Media other = before(disk.resolve("other")).withBacking(BACKING_BYTES);
    assertTrue(dump().contains("path: " + media.backing()), dump());
    Jpcache.run(other.serveCommand())
        .failedSaying(
            media.cache().toString(),
            media.backing().toString(),
            other.backing().toString(),
            "--force");
    assertTrue(serve(other, "--force").contains("labelled for " + other.backing()));
    assertFalse(serve(other).contains("label"), "it belongs to that one now");
    Jpcache.run(media.serveCommand()).failedSaying(other.backing().toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--control /nowhere/x",
        "--metrics 0.0.0.0:1",
        "--listen nbd+unix:///?socket=/nowhere/s",
        "--listen nbd+unix:///?socket=TAKEN"
      })
  void aForcedServerThatCannotStartLeavesTheLabelAndTheDeviceAsTheyAre(String option)
      throws IOException {
    byte[] data = new byte[1 << 20];
    Arrays.fill(data, (byte) 7);
    try (Server server = Server.start(media.serveOptions());
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      client.write(0, data);
      assertEquals(0, server.terminate(), server::stderr);
    }
    String before = dump();
    Media other = before(disk.resolve("other")).withBacking(BACKING_BYTES);
    String untouched = Sha256.of(other.backing());
    Path taken = shm.resolve("taken");
    try (var listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      listener.bind(UnixDomainSocketAddress.of(taken));
      List<String> command = new ArrayList<>(List.of(other.serveCommand()));
      command.addAll(List.of("--force", "--dirty-age", "0"));
      command.addAll(List.of(option.replace("TAKEN", taken.toString()).split(" ")));
      Jpcache.run(command.toArray(String[]::new)).failedSaying();
    }
    assertEquals(before, dump());
    assertEquals(untouched, Sha256.of(other.backing()), "nothing was written back");
    Jpcache.run(other.serveCommand()).failedSaying(media.backing().toString());
    serve(media, "--writeback-on-stop");
    assertEquals(-1, Arrays.mismatch(data, head(media.backing(), data.length)));
  }

  private static byte[] head(Path file, int bytes) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return in.readNBytes(bytes);
    }
  }

  @Test
  void aForcedServerThatRefusesWhatItReplaysLabelsNothing() throws IOException {
    Golden.Copy copy = Golden.named("dirty-crash").unpack(shm);
    try (var file = new RandomAccessFile(copy.backing().toFile(), "rw")) {
      file.setLength(1 << 20); // less than the dirty data needs
    }
    media = new Media(copy.cache(), copy.backing(), media.socket());
    List<String> command = new ArrayList<>(List.of(media.serveCommand()));
    command.add("--force");
    String before = dump();
    Jpcache.run(command.toArray(String[]::new)).failedSaying("1048576");
    assertEquals(before, dump());
  }

  @Test
  void rescueWritesToNoOtherDeviceUnasked() {
    Media other = before(disk.resolve("other")).withBacking(BACKING_BYTES);
    String[] rescue = {"rescue", "--cache", cache(), "--backing", other.backing().toString()};
    Jpcache.run(rescue)
        .failedSaying(media.backing().toString(), other.backing().toString(), "--other-device");
    Jpcache.run("rescue", "--cache", cache(), "--backing", media.backing().toString()).succeeded();
    Jpcache.run("rescue", "--cache", cache(), "--backing", rescue[4], "--other-device").succeeded();
  }

  private String cache() {
    return media.cache().toString();
  }

  @Test
  void aDeviceThatWasResizedIsRefused() throws IOException {
    try (var file = new RandomAccessFile(media.backing().toFile(), "rw")) {
      file.setLength(2 * BACKING_BYTES);
    }
    Jpcache.run(media.serveCommand())
        .failedSaying(Long.toString(BACKING_BYTES), Long.toString(2 * BACKING_BYTES));
  }

  @Test
  void aDeviceThatWasMovedIsTheSame() throws IOException {
    Path moved = Files.move(media.backing(), disk.resolve("moved"));
    assertFalse(serve(before(moved)).contains("label"));
  }

  @Test
  void aCopyInTheDevicesPlaceIsServedWithANotice() throws IOException {
    Path copy = Files.copy(media.backing(), disk.resolve("copy"));
    Files.move(copy, media.backing(), StandardCopyOption.REPLACE_EXISTING);
    assertTrue(serve(media).contains("another identity"));
    assertTrue(serve(media, "--force").contains("labelled for"));
    assertFalse(serve(media).contains("label"));
  }

  @Test
  void aDamagedLabelIsToldAndDoesNotKeepTheDataFromAnybody() throws IOException {
    try (var file = new RandomAccessFile(media.cache().toFile(), "rw")) {
      file.seek(300);
      file.write(1);
    }
    assertTrue(dump().contains("label: damaged"), dump());
    Media other = before(disk.resolve("other")).withBacking(BACKING_BYTES);
    assertTrue(serve(other).contains("its label is not used"));
  }

  @Test
  void aCacheOfTheKernelsIsServedWithANoticeAndGetsNoLabelUnasked() throws Exception {
    Golden.Copy copy = Golden.named("clean").unpack(shm);
    media = new Media(copy.cache(), copy.backing(), media.socket());
    String before = Sha256.of(media.cache());
    assertTrue(serve(media).contains("has no label"));
    assertEquals(before, Sha256.of(media.cache()), "serving alone changes nothing");
    assertTrue(serve(media, "--force").contains("labelled for"));
    assertFalse(serve(media).contains("label"));
  }

  @Test
  void aCacheThatServeMakesIsLabelled() {
    Media fresh = new Media(shm.resolve("fresh"), media.backing(), media.socket());
    assertFalse(serve(fresh, "--create", "512M").contains("label"));
    Media other =
        new Media(fresh.cache(), disk.resolve("other"), media.socket()).withBacking(BACKING_BYTES);
    Jpcache.run(other.serveCommand()).failedSaying(media.backing().toString());
  }
}
