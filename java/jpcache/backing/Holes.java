package jpcache.backing;

import jpcache.base.Errno;
import jpcache.base.Posix;

/**
 * Where a file has holes, by its file system's word: lseek(2) with SEEK_HOLE and SEEK_DATA. What
 * was allocated and never written may count as a hole, too: it reads as zeros. A block device says
 * that all of it is data, and so does a file system that does not know.
 */
final class Holes {
  private final int fd;
  private final int blockBytes;

  Holes(int fd, int blockBytes) {
    this.fd = fd;
    this.blockBytes = blockBytes;
  }

  long nextHole(long fromBytes, long toBytes) {
    long found = Posix.lseek(fd, fromBytes, Posix.SEEK_HOLE);
    return found < 0 ? toBytes : Math.min(toBytes, (found + blockBytes - 1) & -blockBytes);
  }

  long nextData(long fromBytes, long toBytes) {
    long found = Posix.lseek(fd, fromBytes, Posix.SEEK_DATA);
    if (found == -Errno.ENXIO) {
      found = Posix.lseek(fd, 0, Posix.SEEK_END); // where it ends there is nothing, not zeros
    }
    return Math.clamp(found & -blockBytes, fromBytes, toBytes);
  }
}
