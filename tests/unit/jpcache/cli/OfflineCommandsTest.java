package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.Golden;
import jpcache.JsonCheck;
import jpcache.Sha256;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.support.DiskUsage;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/**
 * {@code fsck} and {@code rescue} as their users see them: exit codes, streams, what is changed.
 */
class OfflineCommandsTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private String cache = "";

  @BeforeEach
  void name() {
    cache = shm.resolve("cache").toString();
  }

  private int run(String... args) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Main.run(line, args);
  }

  private MediaBuilder media() {
    return MediaBuilder.create(Path.of(cache), MediaBuilder.SMALL_BYTES);
  }

  @Test
  void fsckOfASoundCacheExitsWithZeroAndSaysALineForEachPhase() {
    media().close();
    assertEquals(0, run("fsck", "--cache", cache), this::said);
    assertEquals(7, out.toString().lines().count(), this::said);
    assertTrue(out.toString().startsWith("phase 1, superblock: 31 segments"), this::said);
    assertTrue(out.toString().endsWith(cache + ": clean" + System.lineSeparator()), this::said);
    assertEquals("", err.toString());
  }

  @Test
  void fsckExitsWithFourWithOneAfterARepairAndThenWithZero() {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, LogKey.of(0, 4096, 1, 0));
      m.dirtyTail(0, 24);
    }
    String before = Sha256.of(Path.of(cache));
    assertEquals(4, run("fsck", "--cache", cache), this::said);
    assertTrue(out.toString().contains("  problem: dirty_tail at byte 16416: 0:24: "), this::said);
    assertEquals(before, Sha256.of(Path.of(cache)), "without --repair nothing is written");
    assertEquals(1, run("fsck", "--cache", cache, "--repair"), this::said);
    assertTrue(out.toString().contains("repaired 1 finding; checking again"), this::said);
    assertEquals(0, run("fsck", "--cache", cache), this::said);
  }

  @Test
  void fsckRepairOfASoundCacheWritesNothing() {
    media().close();
    String before = Sha256.of(Path.of(cache));
    assertEquals(0, run("fsck", "--cache", cache, "--repair"), this::said);
    assertEquals(before, Sha256.of(Path.of(cache)));
  }

  @Test
  void fsckLeavesAProblemThatItCannotRepairAndExitsWithFour() {
    try (MediaBuilder m = media()) {
      m.lastKset(0, 0, 31);
    }
    assertEquals(4, run("fsck", "--cache", cache, "--repair"), this::said);
    assertTrue(out.toString().contains("--repair --cut-log would end the log at 0:0"), this::said);
    assertEquals(1, run("fsck", "--cache", cache, "--repair", "--cut-log"), this::said);
    assertEquals(0, run("fsck", "--cache", cache), this::said);
  }

  @Test
  void fsckOfWhatIsNotThereOrInUseExitsWithEightAndOneLine() {
    assertEquals(8, run("fsck", "--cache", cache), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
    media().close();
    try (ReadOnlyMapping other = ReadOnlyMapping.open(cache)) {
      assertEquals(other.name(), cache);
      assertEquals(0, run("fsck", "--cache", cache), "readers may look together");
      assertEquals(8, run("fsck", "--cache", cache, "--repair"), this::said);
      assertTrue(err.toString().contains("in use"), this::said);
    }
    assertEquals(8, run("fsck", "--cache", cache, "--backing", cache + ".none"), this::said);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fsck", "fsck --cache x --cut-log", "rescue --cache x", "fsck --what"})
  void wrongUsageExitsWithTwo(String line) {
    assertEquals(2, run(line.split(" ")), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
  }

  @Test
  void fsckAsJsonHoldsTheFindings() {
    try (MediaBuilder m = media()) {
      m.dirtyTail(0, 24);
    }
    assertEquals(4, run("fsck", "--cache", cache, "--json"), this::said);
    String json = out.toString();
    JsonCheck.check(json);
    assertTrue(json.contains("\"field\": \"dirty_tail\""), this::said);
    assertTrue(json.contains("\"exit_code\": 4"), this::said);
    assertFalse(json.contains("phase 1,"), this::said);
  }

  @ParameterizedTest
  @CsvSource({
    "fsck --json --cache none, 8",
    "dump --json --cache none, 1",
    "dump --json --cash none, 2",
    "status --json --control none, 1",
    "status --json, 2",
    "stop --json --control none, 1",
  })
  void aFailureAsJsonHoldsItsLineAndExitCode(String line, int exit) {
    assertEquals(exit, run(line.split(" ")), this::said);
    JsonCheck.check(out.toString());
    String told = err.toString().strip().substring("jpcache: ".length());
    assertEquals(
        "{\"error\": \"" + told + "\", \"exit_code\": " + exit + "}\n", out.toString(), this::said);
  }

  @Test
  void rescueSaysWhatItWouldDoDoesItAndHasNothingLeftToDo() throws IOException {
    Golden image = Golden.named("dirty-crash");
    Golden.Copy copy = image.unpack(shm);
    String[] rescue = {
      "rescue", "--cache", copy.cache().toString(), "--backing", copy.backing().toString()
    };
    String[] dryRun = {rescue[0], rescue[1], rescue[2], rescue[3], rescue[4], "--dry-run"};
    assertEquals(0, run(dryRun), this::said);
    assertTrue(out.toString().contains("240 key sets with 6018 keys: 67755 KiB would be written"));
    assertEquals(image.expect().pmemSha256(), Sha256.of(copy.cache()), "the cache");
    assertEquals(image.expect().backingSha256(), Sha256.of(copy.backing()), "the backing device");

    assertEquals(0, run(rescue), this::said);
    assertEquals(image.expect().logicalSha256(), Sha256.of(copy.backing()));
    assertEquals(0, run(rescue), this::said);
    assertTrue(out.toString().contains(": 0 key sets with 0 keys: 0 bytes written"), this::said);
    assertEquals(
        0,
        run("fsck", "--cache", copy.cache().toString(), "--backing", copy.backing().toString()),
        this::said);
  }

  @Test
  void rescueAsJsonHoldsItsNumbers() throws IOException {
    media().close();
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    assertEquals(
        0, run("rescue", "--cache", cache, "--backing", backing.toString(), "--json"), this::said);
    JsonCheck.check(out.toString());
    assertTrue(out.toString().contains("\"bytes\": 0"), this::said);
    assertTrue(out.toString().contains("\"cache\": \"" + cache + "\""), this::said);
    assertTrue(out.toString().contains("\"backing\": \"" + backing + "\""), this::said);
  }

  @Test
  void aSparseImageStaysSparse() throws IOException {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, LogKey.of(0, 4096, 1, 0));
      m.dirtyTail(0, 24);
    }
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    assertEquals(1, run("fsck", "--cache", cache, "--repair"), this::said);
    assertEquals(0, run("rescue", "--cache", cache, "--backing", backing.toString()), this::said);
    long kib = DiskUsage.kib(Path.of(cache));
    assertTrue(kib < 2048, () -> kib + " KiB of " + (Layout.MIN_DEVICE_BYTES >> 10));
  }

  @Test
  void rescueToAnotherDeviceThanTheLabelNamesIsRefusedUnlessForced() throws IOException {
    Path own = shm.resolve("own");
    Path other = shm.resolve("other");
    Files.write(own, new byte[1 << 20]);
    Files.write(other, new byte[2 << 20]);
    assertEquals(
        0,
        run("format", "--cache", cache, "--size", "512M", "--backing", own.toString()),
        this::said);
    assertEquals(1, run("rescue", "--cache", cache, "--backing", other.toString()), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
    assertEquals(0, run("rescue", "--cache", cache, "--backing", own.toString()), this::said);
    assertEquals(
        0,
        run("rescue", "--cache", cache, "--backing", other.toString(), "--other-device"),
        this::said);
  }

  @ParameterizedTest
  @ValueSource(strings = {"format", "serve", "view", "rescue", "rescue --dry-run", "fsck"})
  void theSameFileAsCacheAndBackingIsWrongUsage(String command) throws IOException {
    Path link = shm.resolve("link");
    Files.write(Path.of(cache), new byte[1 << 20]);
    Files.createLink(link, Path.of(cache));
    String before = Sha256.of(link);
    String line = command + " --cache " + cache + " --backing " + link;
    assertEquals(2, run(line.split(" ")), this::said);
    String said = "jpcache: cache and backing are the same file: " + cache;
    assertTrue(err.toString().startsWith(said), this::said);
    assertEquals(before, Sha256.of(link));
  }

  @Test
  void rescueToASmallerDeviceIsRefusedInOneLineAndExitsWithOne() throws IOException {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, LogKey.of(1 << 20, 4096, 1, 0));
    }
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    assertEquals(1, run("rescue", "--cache", cache, "--backing", backing.toString()), this::said);
    assertTrue(err.toString().startsWith("jpcache: " + cache + ": key.off at byte "), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
    assertEquals(Layout.MIN_DEVICE_BYTES, Files.size(Path.of(cache)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"rescue --backing", "view --length 0 --backing", "dump"})
  void aLostDirtyTailIsToldAsWhatItIsWithItsCure(String command) throws IOException {
    try (MediaBuilder m = media()) {
      m.breakSeal(MediaBuilder.dirtyTailAt(0));
    }
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    String line = command.replace("backing", "backing " + backing) + " --cache " + cache;
    assertEquals(1, run(line.split(" ")), this::said);
    assertEquals(
        "jpcache: "
            + cache
            + ": dirty_tail.crc at byte 16416: both replicas: neither is valid; what has been"
            + " written back is not known; `jpcache fsck --repair` sets it to key_tail\n",
        err.toString());
    assertEquals(1, run("fsck", "--repair", "--cache", cache), this::said);
    assertFalse(run(line.split(" ")) != 0, this::said);
  }

  /** Three key sets; dirty_tail is the third. */
  private void damagedBeforeDirtyTail(boolean cleared) {
    try (MediaBuilder m = media()) {
      m.kset(0, 0, LogKey.of(0, 4096, 1, 0));
      MediaBuilder.Structure second = m.kset(0, 64, LogKey.of(4096, 4096, 1, 4096));
      m.kset(0, 128, LogKey.of(0, 512, 1, 8192));
      m.dirtyTail(0, 128);
      if (cleared) {
        m.media().asSlice(second.offsetBytes(), second.sizeBytes()).fill((byte) 0);
      } else {
        m.breakSeal(second);
      }
    }
  }

  @Test
  void ofALogThatIsDamagedBeforeDirtyTailWhatIsDirtyIsViewedAndCounted() throws IOException {
    damagedBeforeDirtyTail(false);
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    String view = "view --length 0 --cache " + cache + " --backing " + backing;
    assertEquals(0, run(view.split(" ")), this::said);
    assertTrue(err.toString().contains("shown is the log from dirty_tail on"), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertTrue(err.toString().contains("holds a cache with 512 bytes of dirty data"), this::said);
    assertEquals(1, run("fsck", "--repair", "--cache", cache), this::said);
    assertEquals(0, run(view.split(" ")), this::said);
    assertEquals("", err.toString());
  }

  @Test
  void whereItIsNotKnownWhatIsDirtyViewAndFormatSaySo() throws IOException {
    damagedBeforeDirtyTail(true);
    Path backing = shm.resolve("backing");
    Files.write(backing, new byte[1 << 20]);
    String view = "view --length 0 --cache " + cache + " --backing " + backing;
    assertEquals(0, run(view.split(" ")), this::said);
    assertTrue(err.toString().contains("shown is the log from key_tail on"), this::said);
    assertEquals(1, err.toString().lines().count(), this::said);
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertTrue(err.toString().contains("of which it is not known how much"), this::said);
    assertEquals(4, run("fsck", "--repair", "--cache", cache), this::said);
    assertEquals(1, run("fsck", "--repair", "--cut-log", "--cache", cache), this::said);
  }

  private String said() {
    return out + "\n" + err;
  }
}
