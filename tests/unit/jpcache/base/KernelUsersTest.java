package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What /sys tells of a block device; one of our own, since a device needs a driver to be used. */
class KernelUsersTest {
  @TempDir Path sys;

  @Test
  void aDeviceIsHeldByWhatIsMadeOfIt() throws IOException {
    Files.createDirectories(sys.resolve("dev/block/259:1/holders/dm-3"));
    Files.createDirectories(sys.resolve("block/dm-3/dm"));
    Files.writeString(sys.resolve("block/dm-3/dm/name"), "cache\n");
    Files.createDirectories(sys.resolve("dev/block/259:2/holders/md0"));
    Files.createDirectories(sys.resolve("dev/block/259:3/holders"));
    assertEquals(List.of("dm cache"), KernelUsers.holders(sys, "259:1"));
    assertEquals(List.of("md0"), KernelUsers.holders(sys, "259:2"));
    assertEquals(List.of(), KernelUsers.holders(sys, "259:3"));
    assertEquals(List.of(), KernelUsers.holders(sys, "259:4"), "not there");
  }
}
