package jpcache.backing;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import jpcache.base.DeviceLock;
import jpcache.base.Errno;
import jpcache.base.KernelUsers;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * Opens backing devices.
 *
 * <p>The path is looked up once; all that follows is about the inode found. Two descriptors are
 * open of it: a plain one, which holds the lock ({@link DeviceLock}: exclusive, or shared to read)
 * and serves what O_DIRECT cannot, and one with O_DIRECT. Of a block device to be written the
 * latter has O_EXCL, by which the kernel keeps mounts, swap and other drivers off for as long; to
 * read it, the same is only asked once, since two readers may be there.
 */
public final class BackingDevices {
  private static final Logger LOG = System.getLogger(BackingDevices.class.getName());

  private static final long BLKSSZGET = 0x1268;
  private static final long BLKPBSZGET = 0x127b;
  private static final long BLKGETSIZE64 = 0x80081272L;

  /** File systems that are the page cache: O_DIRECT means nothing there, if it is accepted. */
  private static final List<Long> IN_MEMORY =
      List.of(0x01021994L /* tmpfs */, 0x858458F6L /* ramfs */);

  private static final int DEFAULT_GRANULE_BYTES = 4096;

  private final String path;
  private final String name;
  private final BackingOptions options;
  private final int access;

  /** What is open; closed in the opposite order. */
  private final Deque<Integer> open = new ArrayDeque<>();

  private BackingDevices(String path, BackingOptions options) {
    this.path = path;
    this.name = "backing " + path;
    this.options = options;
    this.access = options.readOnly() ? Posix.O_RDONLY : Posix.O_RDWR;
  }

  /**
   * Opens a file or block device for this process alone, or to read it along with other readers.
   *
   * @throws UserException if it cannot be used, or is used by anybody else
   */
  public static BackingDevice open(String path, BackingOptions options) {
    BackingDevices opening = new BackingDevices(path, options);
    try {
      return opening.open();
    } catch (Throwable e) {
      opening.release();
      throw e;
    }
  }

  private BackingDevice open() {
    int found = opened(Posix.open(path, Posix.O_PATH, 0));
    FileStatus status = FileStatus.of(found, name);
    if (!status.regular() && !status.blockDevice()) {
      throw new UserException(name + ": is " + status.typeText() + ", not a file or block device");
    }
    int plain = openAndLock(found, status);
    status = FileStatus.of(plain, name); // whoever held the lock before us may have resized it
    refuseKernelUsers(status);

    Geometry geometry =
        status.blockDevice() ? blockGeometry(plain, status) : fileGeometry(plain, status);
    int direct =
        status.blockDevice() ? claim(found, status) : reopen(found, access | Posix.O_DIRECT);
    if (direct >= 0) {
      open.push(direct);
    } else if (direct != -Errno.EINVAL && direct != -Errno.EOPNOTSUPP) {
      throw cannotOpen(-direct);
    }
    if (geometry.directEndBytes() > 0 && !directWorks(direct, geometry)) {
      LOG.log(
          Level.INFO,
          "{0}: no O_DIRECT on this file system: data passes through the page cache",
          name);
      geometry = plainGeometry(status.sizeBytes(), geometry.preferredBlockBytes());
    }
    return new DirectDevice(
        path,
        geometry,
        options.readOnly(),
        options.startIo(LOG, name),
        direct,
        plain,
        this::release);
  }

  private int openAndLock(int found, FileStatus status) {
    if (!options.readOnly()
        && status.blockDevice()
        && KernelUsers.readOnlyDevice(status.deviceNumber())) {
      // Linux may open it for writing all the same, and then fail each write.
      throw cannotOpen("the device is read-only");
    }
    int plain = reopen(found, access);
    if (plain < 0) {
      throw cannotOpen(-plain);
    }
    open.push(plain);
    if (options.readOnly()) {
      DeviceLock.shared(plain, name);
    } else {
      DeviceLock.exclusive(plain, name);
    }
    return plain;
  }

  private void release() {
    while (!open.isEmpty()) {
      Posix.close(open.pop());
    }
  }

  /** A descriptor that release() closes; for opening by path, where most mistakes show. */
  private int opened(int result) {
    if (result < 0) {
      String advice =
          result == -Errno.ENOENT ? "; create a file with: truncate -s SIZE " + path : "";
      throw new UserException(name + ": " + Errno.text(-result) + advice);
    }
    open.push(result);
    return result;
  }

  /** Opens the inode that was found, whatever has happened to its path since. */
  private static int reopen(int fd, int flags) {
    return Posix.open("/proc/self/fd/" + fd, flags, 0);
  }

  private UserException cannotOpen(int errno) {
    return cannotOpen(Errno.text(errno));
  }

  private UserException cannotOpen(String why) {
    return new UserException(
        options.readOnly()
            ? name + ": cannot be opened for reading: " + why
            : name
                + ": cannot be opened for writing: "
                + why
                + "; what is dirty in the cache goes there, even with --read-only; `jpcache view`"
                + " only reads");
  }

  private void refuseKernelUsers(FileStatus status) {
    if (status.blockDevice()) {
      KernelUsers.refuseHolders(name, status.deviceNumber());
    } else {
      Optional<String> loop = KernelUsers.loopOver(Path.of(path), options.readOnly());
      if (loop.isPresent()) {
        throw new UserException(
            String.format(
                "%s: is in use: it is attached to %s; detach it with: losetup -d %s",
                name, loop.get(), loop.get()));
      }
    }
  }

  /** Opens a block device with O_DIRECT and has the kernel say that it is nobody else's. */
  private int claim(int found, FileStatus status) {
    int flags = access | Posix.O_DIRECT;
    int claimed = KernelUsers.claim(name, found, status.deviceNumber(), flags, options.readOnly());
    if (claimed < 0) {
      throw cannotOpen(-claimed);
    }
    if (!options.readOnly()) {
      return claimed;
    }
    int shared = reopen(found, flags);
    Posix.close(claimed);
    if (shared < 0) {
      throw cannotOpen(-shared);
    }
    return shared;
  }

  private Geometry blockGeometry(int fd, FileStatus status) {
    long sizeBytes;
    int logicalBytes;
    int physicalBytes;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment answer = arena.allocate(Long.BYTES, Long.BYTES);
      ask(fd, BLKGETSIZE64, answer);
      sizeBytes = answer.get(JAVA_LONG, 0);
      ask(fd, BLKSSZGET, answer);
      logicalBytes = answer.get(JAVA_INT, 0);
      ask(fd, BLKPBSZGET, answer);
      physicalBytes = answer.get(JAVA_INT, 0);
    }
    if (!granule(logicalBytes)) {
      throw new UserException(name + ": has blocks of " + logicalBytes + " bytes; up to 64 KiB do");
    }
    checkSize(sizeBytes, logicalBytes);
    boolean told =
        status.tellsDirect()
            && Integer.bitCount(status.directMemoryBytes()) == 1
            && status.directMemoryBytes() <= Geometry.MAX_GRANULE_BYTES;
    int memoryBytes = told ? status.directMemoryBytes() : logicalBytes;
    int preferredBytes =
        granule(physicalBytes) ? Math.max(physicalBytes, logicalBytes) : logicalBytes;
    return new Geometry(
        sizeBytes, logicalBytes, logicalBytes, memoryBytes, sizeBytes, preferredBytes);
  }

  private void ask(int fd, long request, MemorySegment answer) {
    int result = Posix.ioctl(fd, request, answer.address());
    if (result < 0) {
      throw new UserException(name + ": does not tell its size or blocks: " + Errno.text(-result));
    }
  }

  private Geometry fileGeometry(int fd, FileStatus status) {
    checkSize(status.sizeBytes(), BackingDevice.SECTOR_BYTES);
    int preferredBytes = granule(status.blockBytes()) ? status.blockBytes() : DEFAULT_GRANULE_BYTES;
    boolean none =
        status.tellsDirect()
            ? !granule(status.directOffsetBytes())
                || Integer.bitCount(status.directMemoryBytes()) != 1
            : inMemory(fd);
    if (none) {
      return plainGeometry(status.sizeBytes(), preferredBytes);
    }
    int memoryBytes = status.tellsDirect() ? status.directMemoryBytes() : preferredBytes;
    int granuleBytes =
        Math.max(status.tellsDirect() ? status.directOffsetBytes() : preferredBytes, memoryBytes);
    // The two descriptors share no page, hence no cached copy that one of them does not know of.
    long wholePages = Math.max(granuleBytes, DEFAULT_GRANULE_BYTES);
    long directEndBytes =
        status.sizeBytes() % granuleBytes == 0
            ? status.sizeBytes()
            : status.sizeBytes() / wholePages * wholePages;
    return new Geometry(
        status.sizeBytes(),
        BackingDevice.SECTOR_BYTES,
        granuleBytes,
        memoryBytes,
        directEndBytes,
        Math.max(preferredBytes, granuleBytes));
  }

  private static Geometry plainGeometry(long sizeBytes, int preferredBytes) {
    return new Geometry(
        sizeBytes, BackingDevice.SECTOR_BYTES, BackingDevice.SECTOR_BYTES, 1, 0, preferredBytes);
  }

  private void checkSize(long sizeBytes, int blockBytes) {
    if (sizeBytes == 0) {
      throw new UserException(
          name + ": is empty; give a file its size with: truncate -s SIZE " + path);
    }
    if (sizeBytes % blockBytes != 0) {
      throw new UserException(
          String.format(
              "%s: its size of %d bytes is not a multiple of %d; give it one that is",
              name, sizeBytes, blockBytes));
    }
  }

  /** Whether a size can be the granule of a device. */
  private static boolean granule(int bytes) {
    return Integer.bitCount(bytes) == 1
        && bytes >= BackingDevice.SECTOR_BYTES
        && bytes <= Geometry.MAX_GRANULE_BYTES;
  }

  private static boolean inMemory(int fd) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment statfs = arena.allocate(120, Long.BYTES);
      return Posix.fstatfs(fd, statfs.address()) == 0
          && IN_MEMORY.contains(statfs.get(JAVA_LONG, 0));
    }
  }

  /** Whether O_DIRECT, as we take it to be, is what the file system accepts. */
  private static boolean directWorks(int fd, Geometry geometry) {
    if (fd < 0) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment probe = arena.allocate(geometry.granuleBytes(), geometry.alignmentBytes());
      // Any other failure is the medium's: it belongs to the requests that run into it.
      return Posix.pread(fd, probe.address(), probe.byteSize(), 0) != -Errno.EINVAL;
    }
  }
}
