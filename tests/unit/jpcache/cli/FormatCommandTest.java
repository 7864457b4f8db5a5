package jpcache.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Path;
import jpcache.JsonCheck;
import jpcache.Sha256;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.DiskUsage;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** What {@code format} does not throw away unless it is told to. */
class FormatCommandTest {
  private static final long DATA_OF_SEGMENT_30 = 20480 + 30 * (16L << 20) + 12288;

  /** Of what it looks at, which a file in memory has to have pages for then. */
  private static final long LITTLE_KIB = 2048;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path file = Path.of("");
  private String cache = "";

  @BeforeEach
  void name() {
    file = shm.resolve("cache");
    cache = file.toString();
  }

  private int run(String... args) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Main.run(line, args);
  }

  /** A sparse file of the least size with some text in it. */
  private void holds(String text, long at) throws IOException {
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(Layout.MIN_DEVICE_BYTES);
      sparse.seek(at);
      sparse.write(text.getBytes(US_ASCII));
    }
  }

  @Test
  void aFreshSparseFileIsFormatted() throws IOException {
    holds("", 0);
    assertEquals(0, run("format", "--cache", cache), this::said);
    assertEquals(0, run("fsck", "--cache", cache), this::said);
    assertEquals(Layout.MIN_DEVICE_BYTES >> 10, DiskUsage.kib(file), "its space is allocated");
  }

  @Test
  void asJsonItTellsWhatItMade() throws IOException {
    holds("", 0);
    assertEquals(0, run("format", "--cache", cache, "--data-crc", "--json"), this::said);
    JsonCheck.check(out.toString());
    assertTrue(out.toString().contains("\"size_bytes\": 536870912"), this::said);
    assertTrue(out.toString().contains("\"data_crc\": true"), this::said);
  }

  @Test
  void aDiskImageIsRefusedAndStaysAsItIs() throws IOException {
    holds("EFI PART", 512);
    String before = Sha256.of(file);
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertEquals(
        "jpcache: "
            + cache
            + ": holds something at byte 512 that is not a cache, or what a format that was cut"
            + " off has left; use --force to throw away what is there\n",
        err.toString());
    assertEquals(before, Sha256.of(file));
    assertEquals(0, run("format", "--cache", cache, "--force"), this::said);
  }

  /**
   * ext4's magic, the ends of what is written over, a log's first key set, btrfs's magic, the last
   * sector.
   */
  @ParameterizedTest
  @ValueSource(
      longs = {
        0,
        1080,
        4095,
        4096,
        8192,
        20479,
        20480,
        32768 + 23,
        DATA_OF_SEGMENT_30,
        65600,
        (512L << 20) - 512,
        (512L << 20) - 1
      })
  void whateverIsInTheWayIsToldWithItsPlace(long at) throws IOException {
    holds("x", at);
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertTrue(err.toString().contains("something at byte " + at + " "), this::said);
  }

  @Test
  void aFormatThatWasCutOffIsRepeatedByForce() throws IOException {
    holds("", 0);
    assertEquals(0, run("format", "--cache", cache), this::said);
    holds("\0\0\0\0\0\0\0\0", 4096 + 8); // the magic, which is the last thing written
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertTrue(err.toString().contains("a format that was cut off"), this::said);
    assertEquals(0, run("format", "--cache", cache, "--force"), this::said);
    assertEquals(0, run("fsck", "--cache", cache), this::said);
  }

  @Test
  void aRefusedFormatLeavesASparseFileSparse() throws IOException {
    try (MediaBuilder m = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES)) {
      m.kset(0, 0, LogKey.of(0, 4096, 1, 0));
    }
    assertEquals(1, run("format", "--cache", cache), this::said);
    assertTrue(err.toString().contains("a cache with 4 KiB of dirty data; use"), this::said);
    assertEquals(1, run("format", "--cache", cache, "--force", "--size", "1G"), this::said);
    assertTrue(err.toString().contains("--size 1 GiB: " + cache + " exists with"), this::said);
    assertTrue(DiskUsage.kib(file) < LITTLE_KIB, () -> file + " has been allocated");
  }

  private String said() {
    return out + "\n" + err;
  }
}
