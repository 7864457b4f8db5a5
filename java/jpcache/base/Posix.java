package jpcache.base;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The Linux system calls on files and memory that the JDK has no way to.
 *
 * <p>Each returns its result, or {@code -errno} when it failed. Addresses and lengths are plain
 * numbers: the caller owns the memory. Constants are those of x86-64 and AArch64.
 */
public final class Posix {
  public static final int O_RDONLY = 0;
  public static final int O_RDWR = 2;

  /** A descriptor that names the file and can neither read nor write it. */
  public static final int O_PATH = 010000000;

  public static final int O_CREAT = 0100;
  public static final int O_EXCL = 0200;
  public static final int O_CLOEXEC = 02000000;

  /** O_DIRECT is the one open flag that differs between the architectures we run on. */
  public static final int O_DIRECT =
      System.getProperty("os.arch", "").equals("aarch64") ? 0200000 : 040000;

  public static final int PROT_READ = 1;
  public static final int PROT_WRITE = 2;
  public static final int MAP_SHARED = 1;
  public static final int MAP_PRIVATE = 2;
  public static final int MAP_ANONYMOUS = 0x20;
  public static final int MADV_POPULATE_WRITE = 23;

  public static final int FALLOC_FL_KEEP_SIZE = 1;
  public static final int FALLOC_FL_PUNCH_HOLE = 2;
  public static final int FALLOC_FL_ZERO_RANGE = 0x10;

  public static final int SEEK_END = 2;
  public static final int SEEK_DATA = 3;
  public static final int SEEK_HOLE = 4;

  public static final int LOCK_SH = 1;
  public static final int LOCK_EX = 2;
  public static final int LOCK_NB = 4;

  private static final CFunction OPEN = CFunction.returningInt("open");
  private static final CFunction CLOSE = CFunction.returningInt("close");
  private static final CFunction PREAD = CFunction.returningLong("pread");
  private static final CFunction PWRITE = CFunction.returningLong("pwrite");
  private static final CFunction FDATASYNC = CFunction.returningInt("fdatasync");
  private static final CFunction FTRUNCATE = CFunction.returningInt("ftruncate");
  private static final CFunction POSIX_FALLOCATE = CFunction.returningInt("posix_fallocate");
  private static final CFunction FALLOCATE = CFunction.returningInt("fallocate");
  private static final CFunction LSEEK = CFunction.returningLong("lseek");
  private static final CFunction FLOCK = CFunction.returningInt("flock");
  private static final CFunction FCNTL = CFunction.returningInt("fcntl");
  private static final CFunction IOCTL = CFunction.returningInt("ioctl");
  private static final CFunction STATX = CFunction.returningInt("statx");
  private static final CFunction STATFS = CFunction.returningInt("fstatfs");
  private static final CFunction MMAP = CFunction.returningLong("mmap");
  private static final CFunction MUNMAP = CFunction.returningInt("munmap");
  private static final CFunction MADVISE = CFunction.returningInt("madvise");
  private static final CFunction EVENTFD = CFunction.returningInt("eventfd");
  private static final CFunction EVENTFD_READ = CFunction.returningInt("eventfd_read");
  private static final CFunction EVENTFD_WRITE = CFunction.returningInt("eventfd_write");
  private static final CFunction USLEEP = CFunction.returningInt("usleep");
  private static final CFunction PRCTL = CFunction.returningInt("prctl");
  private static final CFunction SETENV = CFunction.returningInt("setenv");
  private static final CFunction STRERROR = CFunction.returningLong("strerrordesc_np");

  private static final int PR_SET_TIMERSLACK = 29;

  private Posix() {}

  /** open(2); {@code mode} counts only with {@link #O_CREAT}. O_CLOEXEC is always on. */
  public static int open(String path, int flags, int mode) {
    try (Arena arena = Arena.ofConfined()) {
      long name = arena.allocateFrom(path).address();
      return (int) OPEN.call(name, flags | O_CLOEXEC, mode);
    }
  }

  public static int close(int fd) {
    return (int) CLOSE.call(fd);
  }

  public static long pread(int fd, long address, long lengthBytes, long offsetBytes) {
    return PREAD.call(fd, address, lengthBytes, offsetBytes);
  }

  public static long pwrite(int fd, long address, long lengthBytes, long offsetBytes) {
    return PWRITE.call(fd, address, lengthBytes, offsetBytes);
  }

  public static int fdatasync(int fd) {
    return (int) FDATASYNC.call(fd);
  }

  public static int ftruncate(int fd, long lengthBytes) {
    return (int) FTRUNCATE.call(fd, lengthBytes);
  }

  /**
   * Reserves the file's blocks, so that no later store into a mapping of it can run out of space.
   */
  public static int fallocate(int fd, long offsetBytes, long lengthBytes) {
    return (int) -POSIX_FALLOCATE.call(fd, offsetBytes, lengthBytes);
  }

  /** fallocate(2). */
  public static int fallocate(int fd, int mode, long offsetBytes, long lengthBytes) {
    return (int) FALLOCATE.call(fd, mode, offsetBytes, lengthBytes);
  }

  /**
   * lseek(2). It moves the descriptor's position, which does not matter to who reads by {@link
   * #pread}.
   */
  public static long lseek(int fd, long offsetBytes, int whence) {
    return LSEEK.call(fd, offsetBytes, whence);
  }

  public static int flock(int fd, int operation) {
    return (int) FLOCK.call(fd, operation);
  }

  public static int fcntl(int fd, int command, long argument) {
    return (int) FCNTL.call(fd, command, argument);
  }

  public static int ioctl(int fd, long request, long argument) {
    return (int) IOCTL.call(fd, request, argument);
  }

  /** statx(2) of an open file into a buffer of 256 bytes. */
  public static int statx(int fd, int mask, long buffer) {
    final int atEmptyPath = 0x1000;
    try (Arena arena = Arena.ofConfined()) {
      long empty = arena.allocateFrom("").address();
      return (int) STATX.call(fd, empty, atEmptyPath, mask, buffer);
    }
  }

  /** fstatfs(2) into a buffer of 120 bytes or more; its first long is the file system's type. */
  public static int fstatfs(int fd, long buffer) {
    return (int) STATFS.call(fd, buffer);
  }

  /** mmap(2) at an address of the kernel's choice. */
  public static long mmap(long lengthBytes, int protection, int flags, int fd, long offsetBytes) {
    return MMAP.call(0, lengthBytes, protection, flags, fd, offsetBytes);
  }

  public static int munmap(long address, long lengthBytes) {
    return (int) MUNMAP.call(address, lengthBytes);
  }

  public static int madvise(long address, long lengthBytes, int advice) {
    return (int) MADVISE.call(address, lengthBytes, advice);
  }

  /** A counter whose descriptor is readable when it is not zero; nothing on it ever blocks. */
  public static int eventfd() {
    final int nonBlockingAndCloseOnExec = 04000 | 02000000;
    return (int) EVENTFD.call(0, nonBlockingAndCloseOnExec);
  }

  /** Makes the counter readable. */
  public static int raiseEvent(int fd) {
    return (int) EVENTFD_WRITE.call(fd, 1);
  }

  /** Sets the counter to zero; its value goes to 8 bytes at {@code address}. */
  public static int clearEvent(int fd, long address) {
    return (int) EVENTFD_READ.call(fd, address);
  }

  /** Sets a variable of the process that native libraries see (the JVM's own copy does not). */
  public static int setenv(String name, String value) {
    try (Arena arena = Arena.ofConfined()) {
      long n = arena.allocateFrom(name).address();
      long v = arena.allocateFrom(value).address();
      return (int) SETENV.call(n, v, 1);
    }
  }

  static String strerror(int errno) {
    long text = STRERROR.call(errno);
    return text == 0
        ? "error " + errno
        : MemorySegment.ofAddress(text).reinterpret(256).getString(0);
  }

  /** Has the calling thread sleep so long, or until a signal. */
  public static void sleep(int micros) {
    long _ = USLEEP.call(micros);
  }

  /** The calling thread's sleeps and timeouts end on time, and not up to 50 us later. */
  public static void sleepPrecisely() {
    long _ = PRCTL.call(PR_SET_TIMERSLACK, 1);
  }
}
