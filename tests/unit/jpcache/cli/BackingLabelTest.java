package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.UserException;
import jpcache.media.Label;
import jpcache.media.MediaBuilder;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** What a user is told whose backing device is not what the cache was made for. */
class BackingLabelTest {
  private static final long MIB = 1 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private final MemoryRegion region = new MemoryRegion(MediaBuilder.SMALL_BYTES);
  private final List<String> notices = new ArrayList<>();
  private Path device;

  @BeforeEach
  void label() throws IOException {
    device = file("device", 8 * MIB);
    labelOf(device).ofNewCache().write(region);
  }

  @AfterEach
  void close() {
    region.close();
  }

  private Path file(String name, long sizeBytes) throws IOException {
    Path path = directory.resolve(name);
    try (var file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
    return path;
  }

  private static BackingLabel labelOf(Path path) {
    try (BackingDevice backing = BackingDevices.open(path.toString(), BackingOptions.readWrite())) {
      return BackingLabel.of(backing);
    }
  }

  private void check(Path path, boolean force) {
    labelOf(path).check(region, force, notices::add).run();
  }

  private String refused(Path path) {
    return "" + assertThrows(UserException.class, () -> check(path, false)).getMessage();
  }

  @ParameterizedTest
  @CsvSource({"16, grown", "4, shrunk"})
  void aDeviceOfAnotherSizeIsRefusedWithBothSizesAndServedOnceItIsForced(int mib, String how)
      throws IOException {
    var _ = file("device", mib * MIB);
    assertEquals(
        "memory: backing "
            + device
            + " has "
            + how
            + " from 8388608 to "
            + mib * MIB
            + " bytes since the cache was made for it; if that is meant, use --force",
        refused(device));
    check(device, true);
    assertTrue(notices.getLast().startsWith("memory: labelled for " + device), notices::toString);
    Label label = Objects.requireNonNull(Label.read(region.view()));
    assertEquals(mib * MIB, label.backingBytes());
    notices.clear();
    check(device, false);
    assertEquals(List.of(), notices, "it belongs to the device as it is now");
  }

  @Test
  void aForcedCheckWritesNothingYet() throws IOException {
    Path other = file("other", 8 * MIB);
    Runnable relabel = labelOf(other).check(region, true, notices::add);
    check(device, false);
    assertEquals(List.of(), notices, "it is the old device's still");
    relabel.run();
    assertTrue(notices.getLast().startsWith("memory: labelled for " + other), notices::toString);
    check(other, false);
    assertTrue(refused(device).startsWith("memory: belongs to " + other), () -> refused(device));
  }

  @Test
  void aDeviceThatWasMovedAndResizedIsStillToldAsResized() throws IOException {
    Path moved = Files.move(device, directory.resolve("moved"));
    var _ = file("moved", 16 * MIB);
    assertTrue(refused(moved).contains(moved + " has grown from"), () -> refused(moved));
  }

  @Test
  void anotherDeviceOfAnotherSizeIsToldAsAnother() throws IOException {
    String refusal = refused(file("other", 16 * MIB));
    assertTrue(refusal.startsWith("memory: belongs to " + device), refusal);
    assertTrue(refusal.contains(", not to " + directory.resolve("other")), refusal);
  }

  // ---- view ----

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int view(Path cache, Path backing, String... more) {
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    List<String> command =
        new ArrayList<>(List.of("view", "--cache", cache + "", "--backing", backing + ""));
    command.addAll(List.of("--length", "0")); // it writes to the process's stdout
    command.addAll(List.of(more));
    return Main.run(line, command.toArray(String[]::new));
  }

  @Test
  void viewOverAnotherDeviceThanTheLabelledOneIsRefusedUnlessItIsMeant() throws IOException {
    Path cache = labelledCache();
    Path other = file("other", 8 * MIB);
    assertEquals(0, view(cache, device), err::toString);
    assertNotEquals(0, view(cache, other));
    assertEquals(
        "jpcache: "
            + cache
            + ": belongs to "
            + labelOf(device).ofNewCache().backing()
            + ", not to "
            + labelOf(other).ofNewCache().backing()
            + "; name that one, or if this one is its copy use --other-device",
        err.toString().strip());
    assertEquals(0, view(cache, other, "--other-device"), err::toString);
  }

  @Test
  void viewOverADeviceThatWasResizedSaysBothSizes() throws IOException {
    Path cache = labelledCache();
    var _ = file("device", 4 * MIB);
    assertNotEquals(0, view(cache, device));
    assertTrue(err.toString().contains("has shrunk from 8388608 to 4194304 bytes"), err::toString);
    assertTrue(err.toString().contains("use --other-device"), err::toString);
    assertEquals(0, view(cache, device, "--other-device"), err::toString);
  }

  @Test
  void rescueAndViewGoOnWithADamagedLabelAndSaySo() throws IOException {
    Path cache = labelledCache();
    try (MediaBuilder media = MediaBuilder.open(cache, true)) {
      media.media().set(ValueLayout.JAVA_BYTE, 300, (byte) 1);
    }
    String notice = "jpcache: " + cache + ": its label is not used: label.crc at byte 0: ";
    assertEquals(0, view(cache, device), err::toString);
    assertTrue(err.toString().startsWith(notice), err::toString);
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    assertEquals(0, Main.run(line, "rescue", "--cache", cache + "", "--backing", device + ""));
    assertTrue(err.toString().startsWith(notice), err::toString);
  }

  /** A file with an empty cache that is labelled for the device. */
  private Path labelledCache() {
    Path cache = directory.resolve("cache");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
      media.media().asSlice(0, LABEL_BYTES).copyFrom(region.view().asSlice(0, LABEL_BYTES));
    }
    return cache;
  }

  private static final int LABEL_BYTES = 4096;
}
