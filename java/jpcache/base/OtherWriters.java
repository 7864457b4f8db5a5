package jpcache.base;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Finds processes that have a file open for writing and hold no lock on it, which {@link
 * DeviceLock} therefore does not run into. Best effort, of files alone: block devices are claimed.
 *
 * <p>To look at every descriptor of every process takes tens of milliseconds. So the kernel is
 * asked first whether there is any writer: a read lease is granted on a file that has none.
 */
public final class OtherWriters {
  private static final int F_SETSIG = 10;
  private static final int F_SETLEASE = 1024;
  private static final int F_RDLCK = 0;
  private static final int F_UNLCK = 2;
  private static final int SIGWINCH = 28;
  private static final int ACCESS_MASK = 3;

  private OtherWriters() {}

  /** A process that may write the file, to be asked before this one opens it for writing. */
  public static Optional<String> of(Path file) {
    return Files.isRegularFile(file) && hasWriter(file) ? search(file) : Optional.empty();
  }

  private static boolean hasWriter(Path file) {
    int fd = Posix.open(file.toString(), Posix.O_RDONLY, 0);
    if (fd < 0) {
      return false;
    }
    try {
      // Who opens the file at this very moment breaks the lease, which is told by a signal: not by
      // the usual one, which would end this process.
      if (Posix.fcntl(fd, F_SETSIG, SIGWINCH) < 0) {
        return false;
      }
      int result = Posix.fcntl(fd, F_SETLEASE, F_RDLCK);
      if (result == 0) {
        Posix.fcntl(fd, F_SETLEASE, F_UNLCK);
      }
      return result == -Errno.EAGAIN;
    } finally {
      Posix.close(fd);
    }
  }

  private static Optional<String> search(Path file) {
    return Processes.first(
        pid -> writes(pid, file) ? Optional.of(DeviceLock.describe(pid)) : Optional.empty());
  }

  private static boolean writes(long pid, Path file) {
    Path process = Path.of("/proc/" + pid);
    try (DirectoryStream<Path> all = Files.newDirectoryStream(process.resolve("fd"))) {
      for (Path descriptor : all) {
        if (isSame(descriptor, file) && isForWriting(process, descriptor)) {
          return true;
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      // It is somebody else's, or has ended meanwhile.
    }
    return false;
  }

  private static boolean isSame(Path descriptor, Path file) {
    try {
      return Files.isSameFile(descriptor, file);
    } catch (IOException e) {
      return false; // closed meanwhile, or a socket or pipe
    }
  }

  private static boolean isForWriting(Path process, Path descriptor) throws IOException {
    for (String line :
        Files.readAllLines(process.resolve("fdinfo").resolve(descriptor.getFileName()))) {
      if (line.startsWith("flags:")) {
        return (Long.parseLong(line.substring("flags:".length()).strip(), 8) & ACCESS_MASK) != 0;
      }
    }
    return false;
  }
}
