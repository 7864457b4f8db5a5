package jpcache.backing;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Who in the kernel uses a file or block device: locks do not show it, /sys and /proc do. Best
 * effort: what cannot be read is not in the way.
 */
final class KernelUsers {
  private static final Path SYS_BLOCK = Path.of("/sys/block");

  private KernelUsers() {}

  /**
   * The loop device that the file is attached to.
   *
   * @param harmlessIfReadOnly whether a loop device that cannot write is not in the way
   */
  static Optional<String> loopOver(Path file, boolean harmlessIfReadOnly) {
    for (Path disk : entries(SYS_BLOCK, "loop*")) {
      Optional<String> attached = firstLine(disk.resolve("loop/backing_file"));
      if (attached.isPresent()
          && sameFile(attached.get(), file)
          && !(harmlessIfReadOnly && isOne(disk.resolve("ro")))) {
        return Optional.of("/dev/" + disk.getFileName());
      }
    }
    return Optional.empty();
  }

  /** The devices that are made of the block device (device mapper, md, bcache...). */
  static List<String> holders(String deviceNumber) {
    List<String> names = new ArrayList<>();
    for (Path holder : entries(sysfs(deviceNumber).resolve("holders"), "*")) {
      String name = holder.getFileName().toString();
      names.add(firstLine(SYS_BLOCK.resolve(name + "/dm/name")).map(n -> "dm " + n).orElse(name));
    }
    return names;
  }

  /** Where the block device is mounted, as far as our mount namespace tells. */
  static Optional<String> mountPoint(String deviceNumber) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
        String[] fields = line.split(" ", 6); // id, parent, device, root, mount point, ...
        if (fields.length > 5 && fields[2].equals(deviceNumber)) {
          return Optional.of(fields[4]);
        }
      }
    } catch (IOException e) {
      // Nobody to name, then.
    }
    return Optional.empty();
  }

  /** Whether the block device refuses writes. */
  static boolean readOnlyDevice(String deviceNumber) {
    return isOne(sysfs(deviceNumber).resolve("ro"));
  }

  private static Path sysfs(String deviceNumber) {
    return Path.of("/sys/dev/block", deviceNumber);
  }

  private static List<Path> entries(Path directory, String glob) {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> stream = Files.newDirectoryStream(directory, glob)) {
      stream.forEach(found::add);
    } catch (IOException e) {
      // Not there: no entries.
    }
    return found;
  }

  private static Optional<String> firstLine(Path file) {
    try {
      return Files.readAllLines(file).stream().findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  private static boolean isOne(Path file) {
    return firstLine(file).filter(line -> line.strip().equals("1")).isPresent();
  }

  private static boolean sameFile(String path, Path file) {
    try {
      return Files.isSameFile(Path.of(path), file);
    } catch (IOException e) {
      return false; // deleted since it was attached, or of another mount namespace
    }
  }
}
