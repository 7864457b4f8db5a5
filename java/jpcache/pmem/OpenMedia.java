package jpcache.pmem;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.Errno;
import jpcache.base.KernelUsers;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * A file or device that holds media, open and recognised: the descriptor, what it is, its size.
 *
 * <p>Owns the descriptor; everything else about it (locks, mappings) is its users'.
 *
 * @param deviceNumber how /sys calls a device: 259:0
 */
record OpenMedia(String name, int fd, Type type, long sizeBytes, String deviceNumber)
    implements AutoCloseable {
  enum Type {
    FILE,
    /** A character device that maps persistent memory directly (devdax). */
    DEVDAX,
    BLOCK
  }

  /** Keeps the open of a FIFO from waiting for its other end, and a terminal a stranger. */
  private static final int O_NONBLOCK = 04000;

  private static final int O_NOCTTY = 0400;

  private static final long BLKGETSIZE64 = 0x80081272L;
  private static final long TMPFS_MAGIC = 0x01021994L;

  private static final int S_IFMT = 0170000;
  private static final int S_IFCHR = 0020000;
  private static final int S_IFDIR = 0040000;
  private static final int S_IFBLK = 0060000;
  private static final int S_IFREG = 0100000;

  /** Where struct statx keeps what we look at. */
  private static final class Statx {
    static final int BASIC_STATS = 0x7ff;
    static final long BYTES = 256;
    static final long MODE = 28;
    static final long SIZE = 40;
    static final long RDEV_MAJOR = 128;
    static final long RDEV_MINOR = 132;
  }

  /**
   * Opens what a user named.
   *
   * @param flags access mode of open(2), O_CREAT and O_EXCL; a created file is its owner's alone
   * @throws UserException if it cannot be opened, or is neither file, devdax nor block device
   */
  static OpenMedia open(String path, int flags) {
    int fd = Posix.open(path, flags | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) {
      String verb = (flags & Posix.O_CREAT) == 0 ? "opened" : "created";
      throw new UserException(path + ": cannot be " + verb + ": " + Errno.text(-fd));
    }
    try {
      return recognise(path, fd);
    } catch (RuntimeException e) {
      Posix.close(fd);
      throw e;
    }
  }

  private static OpenMedia recognise(String name, int fd) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stat = arena.allocate(Statx.BYTES, 8);
      check(name, Posix.statx(fd, Statx.BASIC_STATS, stat.address()));
      String deviceNumber =
          stat.get(ValueLayout.JAVA_INT, Statx.RDEV_MAJOR)
              + ":"
              + stat.get(ValueLayout.JAVA_INT, Statx.RDEV_MINOR);
      int mode = Short.toUnsignedInt(stat.get(ValueLayout.JAVA_SHORT, Statx.MODE));
      return switch (mode & S_IFMT) {
        case S_IFREG ->
            new OpenMedia(
                name, fd, Type.FILE, stat.get(ValueLayout.JAVA_LONG, Statx.SIZE), deviceNumber);
        case S_IFBLK -> {
          MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
          check(name, Posix.ioctl(fd, BLKGETSIZE64, size.address()));
          yield new OpenMedia(
              name, fd, Type.BLOCK, size.get(ValueLayout.JAVA_LONG, 0), deviceNumber);
        }
        case S_IFCHR ->
            new OpenMedia(name, fd, Type.DEVDAX, devdaxBytes(name, deviceNumber), deviceNumber);
        case S_IFDIR -> throw unsuitable(name, "a directory");
        default -> throw unsuitable(name, "a pipe or a socket");
      };
    }
  }

  /** The size of a devdax device, which only sysfs knows. */
  private static long devdaxBytes(String name, String majorMinor) {
    Path device = Path.of("/sys/dev/char", majorMinor);
    try {
      if (device.resolve("subsystem").toRealPath().endsWith("dax")) {
        return Long.parseLong(Files.readString(device.resolve("size")).strip());
      }
    } catch (IOException | NumberFormatException e) {
      // No such entry: it is some other device.
    }
    throw unsuitable(name, "a character device other than devdax");
  }

  private static UserException unsuitable(String name, String what) {
    return new UserException(
        name + ": is " + what + "; name a file, a devdax device or a block device");
  }

  private static void check(String name, int result) {
    if (result < 0) {
      throw new UserException(name + ": its size cannot be read: " + Errno.text(-result));
    }
  }

  /** Its file system keeps files in memory. */
  boolean onTmpfs() {
    return type == Type.FILE && statfs(0) == TMPFS_MAGIC;
  }

  /** What its file system has left, or -1 if it does not count. */
  long freeBytes() {
    final long blockSize = 8;
    final long blocks = 16;
    final long availableBlocks = 32;
    return statfs(blocks) <= 0 ? -1 : statfs(blockSize) * statfs(availableBlocks);
  }

  /** A long of struct statfs; -1 if there is none. */
  private long statfs(long at) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment statfs = arena.allocate(128, 8);
      return Posix.fstatfs(fd, statfs.address()) < 0 ? -1 : statfs.get(ValueLayout.JAVA_LONG, at);
    }
  }

  /**
   * Has the kernel say that a block device is nobody else's: locks keep neither device mapper nor
   * mounts off it.
   *
   * @param flags access mode of open(2)
   * @param patient see {@link KernelUsers#claim}
   * @return a descriptor that keeps them off while it is open
   * @throws UserException if somebody has it
   */
  int claim(int flags, boolean patient) {
    KernelUsers.refuseHolders(name, deviceNumber);
    int claimed = KernelUsers.claim(name, fd, deviceNumber, flags, patient);
    if (claimed < 0) {
      throw new UserException(name + ": cannot be opened: " + Errno.text(-claimed));
    }
    return claimed;
  }

  /** A path that leads to this very file, whatever has become of its name. */
  String procPath() {
    return "/proc/self/fd/" + fd;
  }

  @Override
  public void close() {
    Posix.close(fd);
  }
}
