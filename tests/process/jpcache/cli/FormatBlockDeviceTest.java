package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import jpcache.Sha256;
import jpcache.backing.Media;
import jpcache.backing.Shell;
import jpcache.media.Layout;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** A cache that is made for the kernel on its /dev/pmem0, for which a loop device stands in. */
class FormatBlockDeviceTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final Media media = new Media();
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path file = Path.of("");
  private String device = "";

  @BeforeEach
  void attach() throws IOException {
    file = Media.file(shm, Layout.MIN_DEVICE_BYTES);
    device = media.loop(file, 512).toString();
  }

  @AfterEach
  void detach() throws IOException {
    media.close();
  }

  private int run(String... args) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Main.run(line, args);
  }

  private String said() {
    return out + "\n" + err;
  }

  @Test
  void whatIsMadeThereIsOnTheDeviceWhenFormatEnds() {
    assertEquals(0, run("format", "--cache", device), this::said);
    assertTrue(out.toString().startsWith(device + ": an empty cache of 512 MiB"), this::said);
    assertEquals(0, run("fsck", "--cache", file.toString()), () -> "the image itself: " + said());
  }

  @Test
  void whatIsThereIsThrownAwayByForceAlone() throws IOException {
    assertEquals(0, run("format", "--cache", device, "--data-crc"), this::said);
    String before = Sha256.of(file);
    assertEquals(1, run("format", "--cache", device), this::said);
    assertTrue(
        err.toString().contains("holds a cache with no dirty data; use --force"), this::said);
    assertEquals(1, run("format", "--cache", device, "--size", "1G", "--force"), this::said);
    assertEquals(before, Sha256.of(file));
    assertEquals(0, run("format", "--cache", device, "--force"), this::said);
    assertTrue(out.toString().contains("data crc off"), this::said);
  }

  @Test
  void oneThatSomebodyHasIsRefused() throws IOException {
    try (PmemRegion other = PmemFiles.openOffline(device, null)) {
      assertEquals(1, run("format", "--cache", other.name(), "--force"), this::said);
      assertTrue(err.toString().contains(device + ": is in use by"), this::said);
    }
    Shell.run("mkfs.ext4", "-q", device);
    Path at = media.mount(device);
    assertEquals(1, run("format", "--cache", device, "--force"), this::said);
    assertTrue(err.toString().contains("is in use: it is mounted on " + at), this::said);
  }
}
