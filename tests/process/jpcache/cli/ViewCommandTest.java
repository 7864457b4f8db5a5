package jpcache.cli;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import jpcache.Golden;
import jpcache.Sha256;
import jpcache.media.CacheMedia;
import jpcache.media.LogReplay;
import jpcache.media.MediaBuilder;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code jpcache view} in a process of its own, because it writes to the process's stdout. */
class ViewCommandTest {
  private static final int SIZE_BYTES = 128 << 20;

  @TempDir(factory = ShmDirectory.class)
  static Path directory;

  private static Golden.Copy copy;
  private static byte[] whole;

  @BeforeAll
  static void viewAll() throws Exception {
    Golden image = Golden.named("dirty-crash");
    copy = image.unpack(directory);
    Path all = directory.resolve("all");
    assertEquals("", view(all.toFile()));
    assertEquals(image.expect().logicalSha256(), Sha256.of(all));
    whole = Files.readAllBytes(all);
    assertEquals(SIZE_BYTES, whole.length);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "0, 1",
    "511, 2",
    "1048575, 1048578",
    "4194303, 4097",
    "134217727, 1",
    "134217728, 0",
  })
  void anyRangeOfBytesIsThatPartOfTheWhole(int offset, int length) throws Exception {
    File part = directory.resolve("part").toFile();
    assertEquals("", view(part, "--offset", "" + offset, "--length", "" + length));
    assertArrayEquals(
        Arrays.copyOfRange(whole, offset, offset + length), Files.readAllBytes(part.toPath()));
  }

  @ParameterizedTest
  @CsvSource({
    "134217729, 0, --offset 134217729: beyond the logical device of 134217728 bytes",
    "9223372036854775807, 1, --offset 9223372036854775807: beyond the logical device of"
        + " 134217728 bytes",
    "134217728, 1, --length 1: the logical device ends after 0",
    "1, 134217728, --length 134217728: the logical device ends after 134217727",
    "1, 9223372036854775807, --length 9223372036854775807: the logical device ends after"
        + " 134217727",
  })
  void aRangeBeyondTheDeviceIsRefused(String offset, String length, String message)
      throws Exception {
    File part = directory.resolve("part").toFile();
    assertEquals("jpcache: " + message + "\n", view(part, "--offset", offset, "--length", length));
    assertEquals(0, part.length());
  }

  @Test
  void dataThatDoesNotFitItsChecksumIsWrittenAndTold(
      @TempDir(factory = ShmDirectory.class) Path own) throws Exception {
    Golden.Copy damaged = Golden.named("crc-dirty").unpack(own);
    long at = firstDirtyByte(damaged.cache());
    File whole = directory.resolve("part").toFile();
    assertEquals("", viewOf(damaged, whole), "undamaged");
    String before = Sha256.of(whole.toPath());
    try (MediaBuilder m = MediaBuilder.open(damaged.cache(), true)) {
      m.media().set(JAVA_BYTE, at, (byte) ~m.media().get(JAVA_BYTE, at));
    }
    String said = viewOf(damaged, whole);
    assertNotEquals(before, Sha256.of(whole.toPath()), "the damaged byte is written");
    assertTrue(said.matches("jpcache: .*: logical bytes \\d+ to \\d+: .* data_crc, .*\n"), said);
    assertTrue(said.contains("(ranges: 1, bytes: "), said);
    assertEquals("", viewOf(damaged, whole, "--length", "0"), "not asked for");
  }

  /** Where the data of the newest key is. */
  private static long firstDirtyByte(Path cache) {
    try (MediaBuilder m = MediaBuilder.open(cache, false)) {
      CacheMedia media = CacheMedia.read("cache", m.view());
      long[] place = new long[1];
      LogReplay.run(
          media,
          Long.MAX_VALUE,
          (kset, key) ->
              place[0] =
                  media.segments().dataOffset(kset.keySegment(key)) + kset.keySegmentOffset(key));
      return place[0];
    }
  }

  @Test
  void anOutputThatCannotBeWrittenIsAFailure() throws Exception {
    assertEquals(
        "jpcache: stdout: could not be written: No space left on device\n",
        view(new File("/dev/full")));
  }

  /** Returns what it said on stderr; exit code 0 goes with silence and 1 with a line. */
  private static String view(File stdout, String... options) throws Exception {
    return viewOf(copy, stdout, options);
  }

  private static String viewOf(Golden.Copy copy, File stdout, String... options) throws Exception {
    List<String> command =
        MainProcess.command(
            "view", "--cache", copy.cache().toString(), "--backing", copy.backing().toString());
    command.addAll(List.of(options));
    Process process = new ProcessBuilder(command).redirectOutput(Redirect.to(stdout)).start();
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(err.isEmpty() ? 0 : 1, process.waitFor(), err);
    return err;
  }
}
