package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DeviceIdentityTest {
  @TempDir Path root;

  private String identity() {
    return DeviceIdentity.ofDevice(root.resolve("sys"), root.resolve("disk"), "8:1");
  }

  private void sysfs(String file, String text) throws IOException {
    Path path = root.resolve("sys/dev/block/8:1").resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
  }

  @ParameterizedTest
  @CsvSource({
    "dm/uuid, LVM-abc, dm:LVM-abc",
    "md/uuid, 12-34, md:12-34",
    "wwid, eui.0025, wwid:eui.0025",
    "device/wwid, 't10.ATA  Disk   7', wwid:t10.ATA Disk 7",
    "serial, S1, serial:S1",
  })
  void aDiskIsCalledAsSysfsCallsIt(String file, String text, String expected) throws IOException {
    sysfs(file, text + "\n");
    assertEquals(expected, identity());
  }

  @Test
  void aWorldWideNameCountsMoreThanASerialNumber() throws IOException {
    sysfs("serial", "S1");
    sysfs("wwid", "W1");
    assertEquals("wwid:W1", identity());
  }

  @Test
  void anEmptyNameIsNone() throws IOException {
    sysfs("serial", "\n");
    assertEquals("", identity());
  }

  @Test
  void aPartitionIsNotItsDisk() throws IOException {
    sysfs("partition", "1\n");
    sysfs("wwid", "W1");
    sysfs("uevent", "MAJOR=8\nPARTUUID=0fc6-01\n");
    assertEquals("partuuid:0fc6-01", identity());
  }

  @Test
  void olderKernelsTellAPartitionsUuidByALink() throws IOException {
    sysfs("partition", "1\n");
    sysfs("uevent", "MAJOR=8\n");
    Path links = Files.createDirectories(root.resolve("disk/by-partuuid"));
    Files.createSymbolicLink(links.resolve("other"), Path.of("../../sda2"));
    Files.createSymbolicLink(links.resolve("0fc6-01"), Path.of("../../8:1"));
    assertEquals("partuuid:0fc6-01", identity());
  }

  @Test
  void aFileKeepsItsIdentityWhenItMovesAndItsCopyHasAnother() throws IOException {
    Path file = Files.write(root.resolve("a"), new byte[512]);
    String before = DeviceIdentity.of(file.toString());
    assumeFalse(before.isEmpty(), "this file system has no name that lasts");
    Path copy = Files.copy(file, root.resolve("copy"));
    Path moved = Files.move(file, root.resolve("b"));
    assertEquals(before, DeviceIdentity.of(moved.toString()));
    assertNotEquals(before, DeviceIdentity.of(copy.toString()));
  }

  @Test
  void whatIsNotThereHasNone() {
    assertEquals("", DeviceIdentity.of(root.resolve("none").toString()));
  }
}
