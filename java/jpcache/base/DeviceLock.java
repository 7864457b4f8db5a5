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
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

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
 * <p>But for one: udev takes a shared flock of a block device while it looks at a change, which any
 * program that closes it after writing brings about. So where nothing else is in the way of a block
 * device's writer than shared flocks of others, those are waited for as well.
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
          "(?:lock:\\s*)?\\d+: (FLOCK|POSIX|OFDLCK) +\\S+ +(READ|WRITE|RW) +(-?\\d+) (\\S+) .*");

  private static final Path LOCKS = Path.of("/proc/locks");
  private static final long SELF = ProcessHandle.current().pid();

  static final long PATIENCE_MS = 5000;
  private static final long PAUSE_MS = 10;

  /**
   * A locked file.
   *
   * @param id how /proc names it: major and minor in hexadecimal and the inode's number
   */
  private record Inode(String id, boolean blockDevice) {}

  /** What /proc tells of a lock. It names the process that took it, even one that is gone. */
  private record Lock(boolean sharedFlock, long pid) {
    /** Whether it may be udev's: not even another of our own is such a one. */
    private boolean isUdevs() {
      return sharedFlock && pid != SELF;
    }
  }

  /**
   * Who has a file locked.
   *
   * @param description the process, as a user can find it: {@code process 12 (java)}
   */
  public record Holder(long pid, String description) {}

  private DeviceLock() {}

  /** Who has a file locked, as well as /proc tells. Nothing is read or locked for that. */
  public static Optional<Holder> holder(Path file) {
    int fd = Posix.open(file.toString(), Posix.O_PATH, 0);
    if (fd < 0) {
      return Optional.empty();
    }
    try {
      return inode(fd)
          .flatMap(inode -> holder(locks(LOCKS, inode.id), inode.id, fd))
          .map(lock -> new Holder(lock.pid, describe(lock.pid)));
    } finally {
      Posix.close(fd);
    }
  }

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
      Optional<Inode> inode = inode(fd);
      List<Lock> locks = inode.map(locked -> locks(LOCKS, locked.id)).orElse(List.of());
      Optional<Lock> holder = inode.flatMap(locked -> holder(locks, locked.id, fd));
      boolean passing =
          holder.isEmpty()
              || (inode.get().blockDevice
                  && Stream.concat(locks.stream(), holder.stream()).allMatch(Lock::isUdevs));
      if (!passing || System.nanoTime() - end >= 0) {
        String who = holder.map(lock -> describe(lock.pid)).orElse("another process");
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

  /** A lock on the inode and the process that holds it, as well as /proc tells. */
  private static Optional<Lock> holder(List<Lock> locks, String inode, int ownFd) {
    Optional<Lock> found = Optional.empty();
    for (Lock lock : locks) { // others before ourselves
      if (lock.pid > 0
          && (found.isEmpty() || lock.pid != SELF)
          && held(lock.pid, inode, ownFd, Optional.of(lock)).isPresent()) {
        found = Optional.of(lock);
      }
    }
    return found.isPresent() ? found : searchDescriptors(inode, ownFd);
  }

  /** How messages call a process. */
  static String describe(long pid) {
    if (pid == SELF) {
      return "this process itself";
    }
    String name = lines(Path.of("/proc/" + pid + "/comm")).stream().findFirst().orElse("");
    return "process " + pid + (name.isEmpty() ? "" : " (" + name + ")");
  }

  private static Optional<Inode> inode(int fd) {
    final int basicStats = 0x7ff;
    final int typeMask = 0170000;
    final int blockDevice = 0060000;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stat = arena.allocate(256, 8);
      if (Posix.statx(fd, basicStats, stat.address()) < 0) {
        return Optional.empty();
      }
      String id =
          String.format(
              Locale.ROOT,
              "%02x:%02x:%d",
              stat.get(ValueLayout.JAVA_INT, 136),
              stat.get(ValueLayout.JAVA_INT, 140),
              stat.get(ValueLayout.JAVA_LONG, 32));
      int type = stat.get(ValueLayout.JAVA_SHORT, 28) & typeMask;
      return Optional.of(new Inode(id, type == blockDevice));
    }
  }

  /**
   * An open-file-description lock has no owner in /proc/locks, and a flock may have another than
   * that, but the descriptors that hold it show it. We see those of our own user, or all as root.
   */
  private static Optional<Lock> searchDescriptors(String inode, int ownFd) {
    return Processes.first(pid -> held(pid, inode, ownFd, Optional.empty()));
  }

  /**
   * A lock on the inode that a descriptor of the process, other than our own one, has.
   *
   * @param ifHidden the answer for a process that lives and does not let us see
   */
  private static Optional<Lock> held(long pid, String inode, int ownFd, Optional<Lock> ifHidden) {
    Path own = Path.of("/proc/" + SELF + "/fdinfo/" + ownFd);
    Path all = Path.of("/proc/" + pid + "/fdinfo");
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(all)) {
      for (Path descriptor : descriptors) {
        List<Lock> locks = descriptor.equals(own) ? List.of() : locks(descriptor, inode);
        if (!locks.isEmpty()) {
          return Optional.of(new Lock(locks.stream().allMatch(Lock::sharedFlock), pid));
        }
      }
    } catch (AccessDeniedException e) {
      return ifHidden; // somebody else's
    } catch (IOException | DirectoryIteratorException e) {
      // It has ended meanwhile.
    }
    return Optional.empty();
  }

  /** The locks on the inode that a file in /proc tells of. */
  private static List<Lock> locks(Path file, String inode) {
    List<Lock> found = new ArrayList<>();
    for (String line : lines(file)) {
      Matcher m = LOCK.matcher(line);
      if (m.matches() && m.group(4).equals(inode)) {
        boolean sharedFlock = m.group(1).equals("FLOCK") && m.group(2).equals("READ");
        found.add(new Lock(sharedFlock, Long.parseLong(m.group(3))));
      }
    }
    return found;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of();
    }
  }
}
