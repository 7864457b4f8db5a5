package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import jpcache.Golden;
import jpcache.Golden.Status;
import jpcache.Sha256;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The commands see in every reference image what the kernel saw. {@code ci/golden} runs this alone,
 * and over other directories of images.
 */
class GoldenMediaTest {
  private static final Pattern STATUS = Pattern.compile("(?m)^\\s*status:\\s*(.+?)\\s*$");

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  static List<Golden> images() {
    return Golden.all();
  }

  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
  }

  @ParameterizedTest
  @MethodSource("images")
  void viewGivesTheKernelsBytesAndDumpItsStatusAndNeitherChangesAByte(Golden image)
      throws Exception {
    Media media = unpack(image);
    assertEquals(image.expect().logicalSha256(), media.viewSha256(shm), "view");

    String dump = Jpcache.run("dump", "--cache", media.cache().toString()).succeeded().out();
    Matcher status = STATUS.matcher(dump);
    assertTrue(status.find(), "dump shows a status line: " + dump);
    TailsOnMedia tails = TailsOnMedia.of(media.cache());
    assertEquals(
        image.expect().status().withTails(tails.dirtyTail(), tails.keyTail()),
        Status.ofFields(status.group(1)),
        "dump");

    assertEquals(image.expect().pmemSha256(), Sha256.of(media.cache()), "the cache afterwards");
    assertEquals(
        image.expect().backingSha256(),
        Sha256.of(media.backing()),
        "the backing device afterwards");
    System.out.println(
        "golden " + image + ": view gives the kernel's bytes, dump its status, nothing is changed");
  }

  @ParameterizedTest
  @MethodSource("images")
  void serveGivesTheKernelsBytesAndLeavesMediaThatStillDo(Golden image) throws Exception {
    Jpcache.assumeInstalled("nbdcopy");
    Media media = unpack(image);
    Path copied = shm.resolve("copied");
    try (Server server = Server.start(media.serveOptions())) {
      assertEquals(image.expect().backingBytes(), server.sizeBytes());
      Jpcache.finish(new ProcessBuilder("nbdcopy", server.uri(), copied.toString())).succeeded();
      assertEquals(0, server.terminate(), server::stderr);
    }
    assertEquals(image.expect().logicalSha256(), Sha256.of(copied), "nbdcopy from serve");
    assertEquals(image.expect().logicalSha256(), media.viewSha256(shm), "view after serve");
    System.out.println(
        "golden " + image + ": nbdcopy from serve gives the kernel's bytes, and view after it");
  }

  @ParameterizedTest
  @MethodSource("images")
  void fsckFindsNothingAndRescueBringsEverythingToTheBackingDevice(Golden image) {
    Media media = unpack(image);
    String[] devices = {
      "--cache", media.cache().toString(), "--backing", media.backing().toString()
    };
    assertSound(devices);
    Jpcache.run(command("rescue", devices)).succeeded();
    assertEquals(image.expect().logicalSha256(), Sha256.of(media.backing()), "backing alone");
    assertEquals(image.expect().logicalSha256(), media.viewSha256(shm), "view after rescue");
    assertSound(devices);
    System.out.println(
        "golden " + image + ": fsck finds nothing, and rescue brings the kernel's bytes down");
  }

  private static void assertSound(String[] devices) {
    Jpcache.Result fsck = Jpcache.run(command("fsck", devices)).succeeded();
    assertTrue(fsck.out().endsWith(": clean\n"), fsck::toString);
    assertFalse(fsck.out().contains("\n  "), () -> "a finding: " + fsck);
  }

  private static String[] command(String name, String[] options) {
    return Stream.concat(Stream.of(name), Stream.of(options)).toArray(String[]::new);
  }

  private Media unpack(Golden image) {
    Golden.Copy copy = image.unpack(shm);
    return new Media(copy.cache(), copy.backing(), shm.resolve("s"));
  }
}
