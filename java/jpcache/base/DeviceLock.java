package jpcache.base;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Keeps two users off one file or device.
 *
 * <p>Linux has two families of advisory locks that do not see each other, and programs differ in
 * which they ask for; so both are taken, over the whole file: flock(2), as util-linux and LVM use
 * it, and an open-file-description lock of fcntl(2), which qemu (read locks from byte 100 on), NBD
 * servers and every user of POSIX locks run into.
 *
 * <p>Both belong to the open file: there is nothing to release, closing the descriptor gives them
 * up, and so does the end of the process, however it ends. Not always at once: after a SIGKILL the
 * kernel keeps a file open for as long as requests of an io_uring are under way on it, and the lock
 * is then nobody's, whatever process /proc/locks still names. So a lock that no process is seen to
 * hold is waited for, a little; one that has a holder is not.
 *
 * <p>Locks are kept per inode, so two device nodes of one block device are two files to them: who
 * opens a block device adds O_EXCL, which the kernel keeps per device.
 */
public final class DeviceLock {
  private static final int LOCK_UN = 8;
  private static final int F_OFD_SETLK = 37;
  private static final short F_RDLCK = 0;
  private static final short F_WRLCK = 1;

  /** struct flock: type, whence, start, length (0: to the end, wherever it moves), pid (0). */
  private static final long FLOCK_BYTES = 32;

  /**
   * A lock in /proc/locks and in /proc/PID/fdinfo/FD. The device's numbers are hexadecimal. The
   * owner is -1 for an open-file-description lock. Who waits for a lock has an arrow and no match.
   */
  private static final Pattern LOCK =
      Pattern.compile(
          "(?:lock:\\s*)?\\d+: (?:FLOCK|POSIX|OFDLCK) +\\S+ +(?:READ|WRITE|RW) +(-?\\d+) (\\S+) .*");

  static final long PATIENCE_MS = 5000;
  private static final long PAUSE_MS = 10;

  private DeviceLock() {}

  /**
   * Locks an open file for its only user, who may write it.
   *
   * @param fd must be open for writing
   * @param name how the user calls the file, for the message
   * @throws UserException if anybody else holds a lock on any part of it
   */
  public static void exclusive(int fd, String name) {
    exclusive(fd, name, PATIENCE_MS);
  }

  /** The same, and waits so long for a lock that nobody seems to hold. */
  static void exclusive(int fd, String name, long patienceMs) {
    lock(fd, name, Posix.LOCK_EX, F_WRLCK, patienceMs);
  }

  /**
   * Locks an open file for one of several readers.
   *
   * @throws UserException if somebody holds it exclusively
   */
  public static void shared(int fd, String name) {
    lock(fd, name, Posix.LOCK_SH, F_RDLCK, PATIENCE_MS);
  }

  private static void lock(int fd, String name, int flockMode, short fcntlType, long patienceMs) {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patienceMs);
    int result = tryLock(fd, flockMode, fcntlType);
    while (isTaken(result)) {
      Optional<String> holder = holder(fd);
      if (holder.isPresent() || System.nanoTime() - end >= 0) {
        String who = holder.orElse("another process");
        throw new UserException(name + ": is in use by " + who + "; stop it, or choose another");
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(PAUSE_MS));
      result = tryLock(fd, flockMode, fcntlType);
    }
    if (result < 0) {
      throw new UserException(name + ": cannot be locked: " + Errno.text(-result));
    }
  }

  private static boolean isTaken(int result) {
    return result == -Errno.EAGAIN || result == -Errno.EACCES;
  }

  /** Takes both locks or none. */
  private static int tryLock(int fd, int flockMode, short fcntlType) {
    int result = Posix.flock(fd, flockMode | Posix.LOCK_NB);
    if (result == 0) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment wholeFile = arena.allocate(FLOCK_BYTES, 8); // whence SEEK_SET, all else 0
        wholeFile.set(ValueLayout.JAVA_SHORT, 0, fcntlType);
        result = Posix.fcntl(fd, F_OFD_SETLK, wholeFile.address());
      }
      if (result < 0) {
        Posix.flock(fd, LOCK_UN);
      }
    }
    return result;
  }

  /** Who holds a lock on the open file, as well as /proc tells. */
  private static Optional<String> holder(int fd) {
    Optional<String> inode = inode(fd);
    if (inode.isEmpty()) {
      return Optional.empty();
    }
    OptionalLong pid = owner(inode.get(), fd);
    if (pid.isEmpty()) {
      pid = searchDescriptors(inode.get(), fd);
    }
    return pid.isEmpty() ? Optional.empty() : Optional.of(describe(pid.getAsLong()));
  }

  private static String describe(long pid) {
    if (pid == ProcessHandle.current().pid()) {
      return "this process itself";
    }
    String name = lines(Path.of("/proc/" + pid + "/comm")).stream().findFirst().orElse("");
    return "process " + pid + (name.isEmpty() ? "" : " (" + name + ")");
  }

  /** How /proc names the file: major and minor in hexadecimal and the inode's number. */
  private static Optional<String> inode(int fd) {
    final int basicStats = 0x7ff;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stat = arena.allocate(256, 8);
      if (Posix.statx(fd, basicStats, stat.address()) < 0) {
        return Optional.empty();
      }
      return Optional.of(
          String.format(
              Locale.ROOT,
              "%02x:%02x:%d",
              stat.get(ValueLayout.JAVA_INT, 136),
              stat.get(ValueLayout.JAVA_INT, 140),
              stat.get(ValueLayout.JAVA_LONG, 32)));
    }
  }

  /**
   * Who holds a lock on the inode by /proc/locks, others before ourselves. It names the process
   * that took the lock even when that is gone, or has nothing open any more that keeps it.
   */
  private static OptionalLong owner(String inode, int ownFd) {
    long self = ProcessHandle.current().pid();
    OptionalLong found = OptionalLong.empty();
    for (String line : lines(Path.of("/proc/locks"))) {
      Matcher m = LOCK.matcher(line);
      if (m.matches() && m.group(2).equals(inode)) {
        long pid = Long.parseLong(m.group(1));
        if (pid > 0 && (found.isEmpty() || pid != self) && holdsLock(pid, ownFd, inode, true)) {
          found = OptionalLong.of(pid);
        }
      }
    }
    return found;
  }

  /**
   * An open-file-description lock has no owner in /proc/locks, but the descriptors that hold it
   * show it. We see those of our own user, or all as root.
   */
  private static OptionalLong searchDescriptors(String inode, int ownFd) {
    try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[1-9]*")) {
      for (Path process : processes) {
        long pid = Long.parseLong(process.getFileName().toString());
        if (holdsLock(pid, ownFd, inode, false)) {
          return OptionalLong.of(pid);
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      // Without /proc there is no name to give.
    }
    return OptionalLong.empty();
  }

  /**
   * Whether a descriptor of the process, other than our own one, has a lock on the inode.
   *
   * @param ifHidden the answer for a process that lives and does not let us see
   */
  private static boolean holdsLock(long pid, int ownFd, String inode, boolean ifHidden) {
    Path own = Path.of("/proc/" + ProcessHandle.current().pid() + "/fdinfo/" + ownFd);
    Path all = Path.of("/proc/" + pid + "/fdinfo");
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(all)) {
      for (Path descriptor : descriptors) {
        if (!descriptor.equals(own) && showsLock(descriptor, inode)) {
          return true;
        }
      }
    } catch (AccessDeniedException e) {
      return ifHidden; // somebody else's
    } catch (IOException | DirectoryIteratorException e) {
      // It has ended meanwhile.
    }
    return false;
  }

  private static boolean showsLock(Path descriptor, String inode) {
    for (String line : lines(descriptor)) {
      Matcher m = LOCK.matcher(line);
      if (m.matches() && m.group(2).equals(inode)) {
        return true;
      }
    }
    return false;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of();
    }
  }
}
