package jpcache.backing;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * What statx(2) says of an open file.
 *
 * @param type its S_IFMT bits
 * @param sizeBytes of a regular file
 * @param blockBytes the file system's preferred block
 * @param deviceMajor of a device node, with {@code deviceMinor}: which device it is
 * @param tellsDirect whether the kernel knows what O_DIRECT wants (5 filesystems from Linux 6.1 on)
 * @param directMemoryBytes what it wants addresses to be multiples of; 0 if there is no O_DIRECT
 * @param directOffsetBytes what it wants offsets and lengths to be multiples of; 0 likewise
 */
record FileStatus(
    int type,
    long sizeBytes,
    int blockBytes,
    int deviceMajor,
    int deviceMinor,
    boolean tellsDirect,
    int directMemoryBytes,
    int directOffsetBytes) {

  static final int REGULAR = 0100000;
  static final int BLOCK_DEVICE = 0060000;

  private static final int TYPE_MASK = 0170000;
  private static final int STATX_BASIC_STATS = 0x7ff;
  private static final int STATX_DIOALIGN = 0x2000;

  /** struct statx. */
  private static final long STATX_BYTES = 256;

  private static final long MASK = 0;
  private static final long BLKSIZE = 4;
  private static final long MODE = 28;
  private static final long SIZE = 40;
  private static final long RDEV_MAJOR = 128;
  private static final long RDEV_MINOR = 132;
  private static final long DIO_MEM_ALIGN = 152;
  private static final long DIO_OFFSET_ALIGN = 156;

  /**
   * Asks for it.
   *
   * @param name for the message
   */
  static FileStatus of(int fd, String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment s = arena.allocate(STATX_BYTES, Long.BYTES);
      int result = Posix.statx(fd, STATX_BASIC_STATS | STATX_DIOALIGN, s.address());
      if (result < 0) {
        throw new UserException(name + ": cannot be examined: " + Errno.text(-result));
      }
      return new FileStatus(
          s.get(JAVA_SHORT, MODE) & TYPE_MASK,
          s.get(JAVA_LONG, SIZE),
          s.get(JAVA_INT, BLKSIZE),
          s.get(JAVA_INT, RDEV_MAJOR),
          s.get(JAVA_INT, RDEV_MINOR),
          (s.get(JAVA_INT, MASK) & STATX_DIOALIGN) != 0,
          s.get(JAVA_INT, DIO_MEM_ALIGN),
          s.get(JAVA_INT, DIO_OFFSET_ALIGN));
    }
  }

  boolean regular() {
    return type == REGULAR;
  }

  boolean blockDevice() {
    return type == BLOCK_DEVICE;
  }

  /** How sysfs and mountinfo call the device: 7:0. */
  String deviceNumber() {
    return deviceMajor + ":" + deviceMinor;
  }

  /** The type in words. */
  String typeText() {
    return switch (type) {
      case 0040000 -> "a directory";
      case 0020000 -> "a character device";
      case 0010000 -> "a named pipe";
      case 0140000 -> "a socket";
      default -> "neither a file nor a block device";
    };
  }
}
