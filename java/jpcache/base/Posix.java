package jpcache.base;

import static jpcache.base.Downcalls.INT;
import static jpcache.base.Downcalls.LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The Linux system calls on files and memory that the JDK has no way to.
 *
 * <p>Each returns its result, or {@code -errno} when it failed. Addresses and lengths are plain
 * numbers: the caller owns the memory. Constants are those of x86-64 and AArch64.
 */
public final class Posix {
  public static final int O_RDONLY = 0;
  public static final int O_RDWR = 2;
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

  private static final MethodHandle OPEN =
      Downcalls.variadicWithErrno("open", 2, FunctionDescriptor.of(INT, LONG, INT, INT));
  private static final MethodHandle CLOSE =
      Downcalls.withErrno("close", FunctionDescriptor.of(INT, INT));
  private static final MethodHandle PREAD =
      Downcalls.withErrno("pread", FunctionDescriptor.of(LONG, INT, LONG, LONG, LONG));
  private static final MethodHandle PWRITE =
      Downcalls.withErrno("pwrite", FunctionDescriptor.of(LONG, INT, LONG, LONG, LONG));
  private static final MethodHandle FDATASYNC =
      Downcalls.withErrno("fdatasync", FunctionDescriptor.of(INT, INT));
  private static final MethodHandle FTRUNCATE =
      Downcalls.withErrno("ftruncate", FunctionDescriptor.of(INT, INT, LONG));
  private static final MethodHandle POSIX_FALLOCATE =
      Downcalls.plain("posix_fallocate", FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle FALLOCATE =
      Downcalls.withErrno("fallocate", FunctionDescriptor.of(INT, INT, INT, LONG, LONG));
  private static final MethodHandle LSEEK =
      Downcalls.withErrno("lseek", FunctionDescriptor.of(LONG, INT, LONG, INT));
  private static final MethodHandle FLOCK =
      Downcalls.withErrno("flock", FunctionDescriptor.of(INT, INT, INT));
  private static final MethodHandle FCNTL =
      Downcalls.variadicWithErrno("fcntl", 2, FunctionDescriptor.of(INT, INT, INT, LONG));
  private static final MethodHandle IOCTL =
      Downcalls.variadicWithErrno("ioctl", 2, FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle STATX =
      Downcalls.withErrno("statx", FunctionDescriptor.of(INT, INT, LONG, INT, INT, LONG));
  private static final MethodHandle STATFS =
      Downcalls.withErrno("fstatfs", FunctionDescriptor.of(INT, INT, LONG));
  private static final MethodHandle MMAP =
      Downcalls.withErrno("mmap", FunctionDescriptor.of(LONG, LONG, LONG, INT, INT, INT, LONG));
  private static final MethodHandle MUNMAP =
      Downcalls.withErrno("munmap", FunctionDescriptor.of(INT, LONG, LONG));
  private static final MethodHandle MADVISE =
      Downcalls.withErrno("madvise", FunctionDescriptor.of(INT, LONG, LONG, INT));
  private static final MethodHandle EVENTFD =
      Downcalls.withErrno("eventfd", FunctionDescriptor.of(INT, INT, INT));
  private static final MethodHandle EVENTFD_READ =
      Downcalls.withErrno("eventfd_read", FunctionDescriptor.of(INT, INT, LONG));
  private static final MethodHandle EVENTFD_WRITE =
      Downcalls.withErrno("eventfd_write", FunctionDescriptor.of(INT, INT, LONG));
  private static final MethodHandle USLEEP =
      Downcalls.withErrno("usleep", FunctionDescriptor.of(INT, INT));
  private static final MethodHandle PRCTL =
      Downcalls.variadicWithErrno("prctl", 1, FunctionDescriptor.of(INT, INT, LONG));
  private static final MethodHandle SETENV =
      Downcalls.withErrno("setenv", FunctionDescriptor.of(INT, LONG, LONG, INT));
  private static final MethodHandle STRERROR =
      Downcalls.plain("strerrordesc_np", FunctionDescriptor.of(LONG, INT));

  private static final int PR_SET_TIMERSLACK = 29;

  private Posix() {}

  /** open(2); {@code mode} counts only with {@link #O_CREAT}. O_CLOEXEC is always on. */
  public static int open(String path, int flags, int mode) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = Downcalls.errnoState();
      long name = arena.allocateFrom(path).address();
      return Downcalls.orNegativeErrno(
          (int) OPEN.invokeExact(state, name, flags | O_CLOEXEC, mode), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int close(int fd) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) CLOSE.invokeExact(state, fd), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static long pread(int fd, long address, long lengthBytes, long offsetBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (long) PREAD.invokeExact(state, fd, address, lengthBytes, offsetBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static long pwrite(int fd, long address, long lengthBytes, long offsetBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (long) PWRITE.invokeExact(state, fd, address, lengthBytes, offsetBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int fdatasync(int fd) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) FDATASYNC.invokeExact(state, fd), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int ftruncate(int fd, long lengthBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) FTRUNCATE.invokeExact(state, fd, lengthBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /**
   * Reserves the file's blocks, so that no later store into a mapping of it can run out of space.
   */
  public static int fallocate(int fd, long offsetBytes, long lengthBytes) {
    try {
      return -(int) POSIX_FALLOCATE.invokeExact(fd, offsetBytes, lengthBytes);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** fallocate(2). */
  public static int fallocate(int fd, int mode, long offsetBytes, long lengthBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) FALLOCATE.invokeExact(state, fd, mode, offsetBytes, lengthBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /**
   * lseek(2). It moves the descriptor's position, which does not matter to who reads by {@link
   * #pread}.
   */
  public static long lseek(int fd, long offsetBytes, int whence) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (long) LSEEK.invokeExact(state, fd, offsetBytes, whence), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int flock(int fd, int operation) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) FLOCK.invokeExact(state, fd, operation), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int fcntl(int fd, int command, long argument) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) FCNTL.invokeExact(state, fd, command, argument), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int ioctl(int fd, long request, long argument) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) IOCTL.invokeExact(state, fd, request, argument), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** statx(2) of an open file into a buffer of 256 bytes. */
  public static int statx(int fd, int mask, long buffer) {
    final int atEmptyPath = 0x1000;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = Downcalls.errnoState();
      long empty = arena.allocateFrom("").address();
      return Downcalls.orNegativeErrno(
          (int) STATX.invokeExact(state, fd, empty, atEmptyPath, mask, buffer), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** fstatfs(2) into a buffer of 120 bytes or more; its first long is the file system's type. */
  public static int fstatfs(int fd, long buffer) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) STATFS.invokeExact(state, fd, buffer), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** mmap(2) at an address of the kernel's choice. */
  public static long mmap(long lengthBytes, int protection, int flags, int fd, long offsetBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (long) MMAP.invokeExact(state, 0L, lengthBytes, protection, flags, fd, offsetBytes),
          state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int munmap(long address, long lengthBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) MUNMAP.invokeExact(state, address, lengthBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  public static int madvise(long address, long lengthBytes, int advice) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) MADVISE.invokeExact(state, address, lengthBytes, advice), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** A counter whose descriptor is readable when it is not zero; nothing on it ever blocks. */
  public static int eventfd() {
    final int nonBlockingAndCloseOnExec = 04000 | 02000000;
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) EVENTFD.invokeExact(state, 0, nonBlockingAndCloseOnExec), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Makes the counter readable. */
  public static int raiseEvent(int fd) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) EVENTFD_WRITE.invokeExact(state, fd, 1L), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Sets the counter to zero; its value goes to 8 bytes at {@code address}. */
  public static int clearEvent(int fd, long address) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) EVENTFD_READ.invokeExact(state, fd, address), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Sets a variable of the process that native libraries see (the JVM's own copy does not). */
  public static int setenv(String name, String value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = Downcalls.errnoState();
      long n = arena.allocateFrom(name).address();
      long v = arena.allocateFrom(value).address();
      return Downcalls.orNegativeErrno((int) SETENV.invokeExact(state, n, v, 1), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  static String strerror(int errno) {
    try {
      long text = (long) STRERROR.invokeExact(errno);
      return text == 0
          ? "error " + errno
          : MemorySegment.ofAddress(text).reinterpret(256).getString(0);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Has the calling thread sleep so long, or until a signal. */
  public static void sleep(int micros) {
    try {
      MemorySegment state = Downcalls.errnoState();
      int _ = (int) USLEEP.invokeExact(state, micros);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** The calling thread's sleeps and timeouts end on time, and not up to 50 us later. */
  public static void sleepPrecisely() {
    try {
      MemorySegment state = Downcalls.errnoState();
      int _ = (int) PRCTL.invokeExact(state, PR_SET_TIMERSLACK, 1L);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }
}
