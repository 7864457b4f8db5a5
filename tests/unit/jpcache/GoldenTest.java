package jpcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class GoldenTest {
  @TempDir Path directory;

  static List<Golden> images() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("images")
  void unpacksToTheBytesThatTheKernelLeft(Golden image) throws Exception {
    Golden.Copy copy = image.unpack(directory);
    assertEquals(image.expect().pmemBytes(), Files.size(copy.cache()));
    assertEquals(image.expect().backingBytes(), Files.size(copy.backing()));
    assertEquals(image.expect().pmemSha256(), Sha256.of(copy.cache()));
    assertEquals(image.expect().backingSha256(), Sha256.of(copy.backing()));
  }

  @Test
  void readsTheKernelsStatusLine() {
    assertEquals(
        new Golden.Status(0, 31, 31, 7, 70, 0x1182, "0:246480", "0:23592", "0:0"),
        Golden.Status.parse("0 262144 pcache 0 31 31 7 70 1182 0:246480 0:23592 0:0"));
  }

  @Test
  void theImagesOfTheTreeCoverCleanDirtyAndChecksummedMedia() {
    List<String> names = Golden.all().stream().map(Golden::toString).toList();
    assertTrue(names.containsAll(List.of("clean", "crc-dirty", "dirty-crash")), names::toString);
  }
}
