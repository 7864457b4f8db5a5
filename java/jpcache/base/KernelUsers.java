package jpcache.base;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/**
 * Who in the kernel uses a file or block device: locks do not show it, /sys and /proc do. Best
 * effort: what cannot be read is not in the way. Of a block device O_EXCL asks the kernel itself.
 */
public final class KernelUsers {
  private static final Path SYS = Path.of("/sys");
  private static final int CLAIM_ATTEMPTS = 20;
  private static final long CLAIM_PAUSE_NANOS = 5_000_000;

  private KernelUsers() {}

  /**
   * The loop device that the file is attached to.
   *
   * @param harmlessIfReadOnly whether a loop device that cannot write is not in the way
   */
  public static Optional<String> loopOver(Path file, boolean harmlessIfReadOnly) {
    for (Path disk : entries(SYS.resolve("block"), "loop*")) {
      Optional<String> attached = firstLine(disk.resolve("loop/backing_file"));
      if (attached.isPresent()
          && sameFile(attached.get(), file)
          && !(harmlessIfReadOnly && isOne(disk.resolve("ro")))) {
        return Optional.of("/dev/" + disk.getFileName());
      }
    }
    return Optional.empty();
  }

  /**
   * Refuses a block device that others are made of (device mapper, md, bcache...).
   *
   * @param name how the user calls it, for the message
   * @throws UserException if there is one
   */
  public static void refuseHolders(String name, String deviceNumber) {
    List<String> holders = holders(SYS, deviceNumber);
    if (!holders.isEmpty()) {
      throw new UserException(
          name
              + ": is in use: it is part of "
              + String.join(", ", holders)
              + "; open that instead");
    }
  }

  /** The devices that are made of the block device, as a /sys tells. */
  static List<String> holders(Path sys, String deviceNumber) {
    List<String> names = new ArrayList<>();
    for (Path holder : entries(sysfs(sys, deviceNumber).resolve("holders"), "*")) {
      String name = holder.getFileName().toString();
      Path dmName = sys.resolve("block/" + name + "/dm/name");
      names.add(firstLine(dmName).map(n -> "dm " + n).orElse(name));
    }
    return names;
  }

  /**
   * Opens a block device once more, with O_EXCL, by which the kernel says that it is nobody else's
   * and keeps mounts, swap and other drivers off while the descriptor is open.
   *
   * @param fd of the device
   * @param flags of open(2), without O_EXCL
   * @param patient whether another reader, who holds no lock that is in the way, may be asking just
   *     now
   * @return the descriptor, or {@code -errno}
   * @throws UserException if somebody has it
   */
  public static int claim(String name, int fd, String deviceNumber, int flags, boolean patient) {
    String path = "/proc/self/fd/" + fd;
    int claimed = Posix.open(path, flags | Posix.O_EXCL, 0);
    for (int i = 1; claimed == -Errno.EBUSY && patient && i < CLAIM_ATTEMPTS; i++) {
      LockSupport.parkNanos(CLAIM_PAUSE_NANOS);
      claimed = Posix.open(path, flags | Posix.O_EXCL, 0);
    }
    if (claimed == -Errno.EBUSY) {
      String user =
          mountPoint(deviceNumber)
              .map(at -> "it is mounted on " + at)
              .orElse("a mount (of a partition of it, too), swap or another driver has it");
      throw new UserException(name + ": is in use: " + user);
    }
    return claimed;
  }

  /** Where the block device is mounted, as far as our mount namespace tells. */
  private static Optional<String> mountPoint(String deviceNumber) {
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
  public static boolean readOnlyDevice(String deviceNumber) {
    return isOne(sysfs(SYS, deviceNumber).resolve("ro"));
  }

  private static Path sysfs(Path sys, String deviceNumber) {
    return sys.resolve("dev/block/" + deviceNumber);
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
