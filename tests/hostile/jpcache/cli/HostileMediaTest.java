package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import jpcache.JsonCheck;
import jpcache.Seeds;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/**
 * Media that somebody forged, checksums and all, to harm whoever opens them: every command says in
 * one line which field has which value where, exits 1, and needs neither long nor much memory.
 */
class HostileMediaTest {
  private static final Duration LONGEST = Duration.ofSeconds(10);
  private static final long MOST_BYTES = 256L << 20;

  @TempDir(factory = ShmDirectory.class)
  static Path directory;

  static Stream<Forgery> forgeries() {
    return Forgery.all().stream();
  }

  @ParameterizedTest
  @MethodSource("forgeries")
  void isRefusedByFieldValueAndPlace(Forgery forgery) throws IOException {
    Path cache = directory.resolve("forged");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
      forgery.deed().accept(media);
    }
    String text =
        "jpcache: "
            + cache
            + ": "
            + forgery.field()
            + " at byte "
            + forgery.at()
            + ": "
            + forgery.value();
    try {
      assertRefused(cache, text, forgery.needsBacking());
    } finally {
      Files.delete(cache);
    }
  }

  @Test
  void soundMediaAreShown() throws IOException {
    Path cache = directory.resolve("sound");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
      Forgery.storeKeys(media);
    }
    Run run = run("dump", "--cache", cache.toString(), "--keys", "--json");
    assertEquals(0, run.exit, run.err);
    assertTrue(run.out.contains("\"key_head\": \"0:144\""), run.out);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        1,
        4095,
        4096,
        4097,
        4119,
        4120,
        8191,
        8192,
        8215,
        12288,
        12312,
        16383,
        16384,
        16400,
        16447,
        16448,
        20479,
        20480,
        20496,
        28672,
        32768,
        1 << 24,
        (1 << 29) - 4096,
        (1 << 29) - 1
      })
  void aTruncatedFileIsTooSmall(long bytes) throws IOException {
    Path cache = directory.resolve("truncated");
    MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES).close();
    truncate(cache, bytes);
    assertRefused(cache, "device size at byte 0: ", false);
    Files.delete(cache);
  }

  @Test
  void aFileThatHasLostPartOfItsLastSegmentIsRefused() throws IOException {
    Path cache = directory.resolve("truncated");
    long bytes = Layout.SEGMENTS_OFFSET + 40 * Layout.SEGMENT_BYTES;
    MediaBuilder.create(cache, bytes).close();
    for (long size : new long[] {bytes - 1, bytes - Layout.SEGMENT_BYTES, bytes - 4096}) {
      truncate(cache, size);
      assertRefused(cache, "superblock.seg_num at byte 4096: 40", false);
    }
    Files.delete(cache);
  }

  @Test
  void anEmptyFileADirectoryAndNothingAreRefused() throws IOException {
    Path empty = Files.createFile(directory.resolve("empty"));
    assertRefused(empty, empty + ": is empty", false);
    assertRefused(directory, directory + ": is a directory", false);
    Path missing = directory.resolve("missing");
    assertRefused(missing, missing + ": cannot be opened: ", false);
  }

  @Test
  void zerosAreNoCacheAndOnesAndNoiseAreSomethingElse() throws IOException {
    Path cache = directory.resolve("filled");
    try (MediaBuilder media = MediaBuilder.createEmpty(cache, MediaBuilder.SMALL_BYTES)) {
      assertRefused(cache, "superblock.magic at byte 4096: 0: the device holds no cache", false);
      MemorySegment head = media.media().asSlice(0, 64 << 10);
      head.fill((byte) 0xFF);
      assertRefused(cache, "superblock.magic at byte 4096: 0xffffffffffffffff", false);
      byte[] noise = new byte[64 << 10];
      new SplittableRandom(Seeds.next(getClass())).nextBytes(noise);
      head.copyFrom(MemorySegment.ofArray(noise));
      assertRefused(cache, "superblock.magic at byte 4096: 0x", false);
    }
    Files.delete(cache);
  }

  /** No more memory than for a small one, though there is a device as large as it says. */
  @Test
  void aSparseDeviceOf16TiBThatSaysAllItCanIsRefusedAtTheFirstSegmentThatIsNotThere()
      throws IOException {
    Path cache = directory.resolve("sparse");
    long bytes = Layout.SEGMENTS_OFFSET + Layout.MAX_SEGMENTS * Layout.SEGMENT_BYTES;
    try (MediaBuilder media = MediaBuilder.createEmpty(cache, bytes)) {
      media.metadata(Layout.MAX_SEGMENTS, 1000);
      assertRefused(
          cache,
          "segment_info.crc at byte " + MediaBuilder.segmentInfoAt(1000, 0).offsetBytes(),
          false);
      media.forgeU32(MediaBuilder.superblockAt(), Layout.SB_SEG_NUM_AT, Layout.MAX_SEGMENTS + 1);
      assertRefused(cache, "superblock.seg_num at byte 4096: 1048577", false);
    }
    Files.delete(cache);
  }

  /** A million subtrees' worth of logical device costs what its keys cost, not what it spans. */
  @Test
  void keysFarApartOnAHugeLogicalDeviceDoNotFillTheHeap() throws IOException {
    Path cache = directory.resolve("apart");
    Path backing = directory.resolve("huge");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES);
        RandomAccessFile sparse = new RandomAccessFile(backing.toFile(), "rw")) {
      sparse.setLength(1L << 50);
      int at = 0;
      LogKey[] keys = new LogKey[128];
      for (int kset = 0; kset < 1 << 9; kset++) {
        for (int key = 0; key < keys.length; key++) {
          keys[key] = LogKey.of((kset * 128L + key) << 34, 512, 3, 0);
        }
        at += media.kset(0, at, keys).sizeBytes();
      }
      // The last one is refused, so that nothing goes to stdout.
      media.kset(0, at, LogKey.of(1L << 50, 512, 3, 0));
      Run view = run("view", "--cache", cache.toString(), "--backing", backing.toString());
      assertRefusal(view, "key.off at byte ");
    }
    Files.delete(cache);
    Files.delete(backing);
  }

  private static void truncate(Path file, long bytes) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.setLength(bytes);
    }
  }

  private void assertRefused(Path cache, String text, boolean needsBacking) throws IOException {
    Path backing = directory.resolve("backing");
    try (RandomAccessFile file = new RandomAccessFile(backing.toFile(), "rw")) {
      file.setLength(Forgery.BACKING_BYTES);
    }
    assertRefusal(run("view", "--cache", cache.toString(), "--backing", backing.toString()), text);
    if (!needsBacking) {
      assertRefusal(run("dump", "--cache", cache.toString()), text);
      Run json = run("dump", "--json", "--keys", "--cache", cache.toString());
      JsonCheck.check(json.out);
      assertTrue(json.out.startsWith("{\"error\": \""), json.out);
      assertRefusal(json.withoutOut(), text);
    }
  }

  private record Run(int exit, String out, String err, Duration took, long allocatedBytes) {
    Run withoutOut() {
      return new Run(exit, "", err, took, allocatedBytes);
    }
  }

  private static void assertRefusal(Run run, String text) {
    assertEquals(1, run.exit, run.err);
    assertTrue(run.err.contains(text), () -> "expected: " + text + "\n     got: " + run.err);
    assertTrue(run.err.matches("jpcache: [^\n]+\n"), run.err);
    assertFalse(run.err.contains("Exception") || run.err.contains("unexpected"), run.err);
    assertEquals("", run.out);
    assertTrue(run.took.compareTo(LONGEST) < 0, run.took + ": " + run.err);
    assertTrue(run.allocatedBytes < MOST_BYTES, run.allocatedBytes + " bytes: " + run.err);
  }

  /** Runs a command in this JVM; what its thread allocates in all is more than it ever holds. */
  private static Run run(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long allocated = threads.getCurrentThreadAllocatedBytes();
    long start = System.nanoTime();
    int exit = Main.run(line, args);
    return new Run(
        exit,
        out.toString(),
        err.toString(),
        Duration.ofNanos(System.nanoTime() - start),
        threads.getCurrentThreadAllocatedBytes() - allocated);
  }
}
