package jpcache.backing;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import jpcache.base.Posix;

/**
 * What tells a backing device from others, wherever it is found: as text, a kind and a value, found
 * out without a look at the device's contents.
 *
 * <table>
 *   <caption>The kinds</caption>
 *   <tr><th>of</th><th>text</th></tr>
 *   <tr><td>a partition</td><td>{@code partuuid:}UUID</td></tr>
 *   <tr><td>device mapper, MD</td><td>{@code dm:}UUID, {@code md:}UUID</td></tr>
 *   <tr><td>a disk</td><td>{@code wwid:}name, or {@code serial:}number</td></tr>
 *   <tr><td>a file</td><td>{@code file:}UUID of the file system{@code /}inode</td></tr>
 * </table>
 *
 * <p>Loop devices, and files where the file system has no lasting name, have none.
 */
public final class DeviceIdentity {
  /** How the identity of a file begins: one that a copy of the file does not share. */
  private static final String FILE = "file:";

  private static final int TYPE_MASK = 0170000;

  /** FS_IOC_GETFSUUID (Linux 6.9) of struct fsuuid2: a length and 16 bytes. */
  private static final long GET_FS_UUID = 0x80111500L;

  private static final int FS_UUID_BYTES = 16;

  /** ext4 and btrfs make statfs's f_fsid of the UUID; others may make it of the device number. */
  private static final List<Long> LASTING_FSID = List.of(0xEF53L, 0x9123683EL);

  private static final long FSID_AT = 56;

  /** Files of sysfs that name a disk, below its directory, and the kind of what they hold. */
  private static final List<Map.Entry<String, String>> DISK_NAMES =
      List.of(
          Map.entry("dm/uuid", "dm"),
          Map.entry("md/uuid", "md"),
          Map.entry("wwid", "wwid"),
          Map.entry("device/wwid", "wwid"),
          Map.entry("device/cid", "serial"),
          Map.entry("serial", "serial"));

  private DeviceIdentity() {}

  /** What a device is called where its identity is written down: its path from the root. */
  public static String path(String name) {
    return Path.of(name).toAbsolutePath().normalize().toString();
  }

  /** The identity of a file or block device; empty if there is none, or none to be seen. */
  public static String of(String path) {
    try {
      int type = (int) number(path, "mode") & TYPE_MASK;
      if (type == FileStatus.BLOCK_DEVICE) {
        return ofDevice(Path.of("/sys"), Path.of("/dev/disk"), deviceNumber(number(path, "rdev")));
      }
      return type == FileStatus.REGULAR ? ofFile(path, number(path, "ino")) : "";
    } catch (IOException e) {
      return ""; // who opens the device will say what is the matter
    }
  }

  private static long number(String path, String attribute) throws IOException {
    Object value = Files.getAttribute(Path.of(path), "unix:" + attribute);
    return ((Number) Objects.requireNonNull(value)).longValue();
  }

  /** Major and minor as sysfs writes them, of a dev_t as glibc packs it. */
  private static String deviceNumber(long device) {
    long major = ((device >>> 32) & 0xFFFFF000L) | ((device >>> 8) & 0xFFF);
    long minor = ((device >>> 12) & 0xFFFFFF00L) | (device & 0xFF);
    return major + ":" + minor;
  }

  // ---- block devices ----

  /** The same with the folders given, for tests. */
  static String ofDevice(Path sys, Path devDisk, String number) {
    Path device = sys.resolve("dev/block").resolve(number);
    if (Files.exists(device.resolve("partition"))) {
      return ofPartition(device, devDisk);
    }
    for (Map.Entry<String, String> name : DISK_NAMES) {
      String value = line(device.resolve(name.getKey()));
      if (!value.isEmpty()) {
        return name.getValue() + ":" + value;
      }
    }
    return "";
  }

  private static String ofPartition(Path device, Path devDisk) {
    try {
      for (String line : Files.readAllLines(device.resolve("uevent"))) {
        if (line.startsWith("PARTUUID=")) {
          return "partuuid:" + line.substring("PARTUUID=".length()).strip();
        }
      }
      Path node = device.toRealPath().getFileName();
      try (DirectoryStream<Path> links = Files.newDirectoryStream(devDisk.resolve("by-partuuid"))) {
        for (Path link : links) {
          if (Files.readSymbolicLink(link).getFileName().equals(node)) {
            return "partuuid:" + link.getFileName();
          }
        }
      }
    } catch (IOException e) {
      // Not to be seen from here.
    }
    return "";
  }

  private static String line(Path file) {
    try {
      return Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
          ? Files.readString(file).strip().replaceAll("\\s+", " ")
          : "";
    } catch (IOException e) {
      return "";
    }
  }

  // ---- files ----

  private static String ofFile(String path, long inode) {
    int fd = Posix.open(path, Posix.O_RDONLY, 0);
    if (fd < 0) {
      return "";
    }
    try (Arena arena = Arena.ofConfined()) {
      String fileSystem = fileSystem(fd, arena.allocate(120, Long.BYTES));
      return fileSystem.isEmpty() ? "" : FILE + fileSystem + "/" + inode;
    } finally {
      Posix.close(fd);
    }
  }

  private static String fileSystem(int fd, MemorySegment answer) {
    if (Posix.ioctl(fd, GET_FS_UUID, answer.address()) == 0
        && answer.get(ValueLayout.JAVA_BYTE, 0) == FS_UUID_BYTES) {
      return hex(answer, 1, FS_UUID_BYTES);
    }
    if (Posix.fstatfs(fd, answer.address()) == 0
        && LASTING_FSID.contains(answer.get(ValueLayout.JAVA_LONG, 0))) {
      return hex(answer, FSID_AT, Long.BYTES);
    }
    return "";
  }

  private static String hex(MemorySegment bytes, long at, int length) {
    return HexFormat.of().formatHex(bytes.asSlice(at, length).toArray(ValueLayout.JAVA_BYTE));
  }
}
