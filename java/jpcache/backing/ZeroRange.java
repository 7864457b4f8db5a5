package jpcache.backing;

import static jpcache.base.Posix.FALLOC_FL_KEEP_SIZE;
import static jpcache.base.Posix.FALLOC_FL_PUNCH_HOLE;
import static jpcache.base.Posix.FALLOC_FL_ZERO_RANGE;

import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * Makes a range of whole file system blocks, or of a block device's, zeros without sending them:
 * fallocate(2), a piece after the other, so that no call holds the inode or the device for long.
 *
 * <pre>
 *                  file                                 block device
 *   PUNCH_HOLE     blocks given up, a hole is left      unmap, if it then reads as zeros
 *   ZERO_RANGE     blocks kept, and marked unwritten    write-zeroes; the kernel writes if need be
 *   neither        zeros are written                    zeros are written
 * </pre>
 *
 * <p>All of them guarantee that the range reads as zeros (unlike BLKDISCARD). Whoever gives space
 * up begins in the first line, whoever keeps it in the second; what a file system or device does
 * not have is found out once.
 */
final class ZeroRange implements RawIo.Result {
  private static final long PIECE_BYTES = 64L << 20;

  /** What a descriptor has been found not to support. */
  static final class Unsupported {
    private volatile boolean punchHole;
    private volatile boolean zeroRange;

    private void add(boolean punch) {
      if (punch) {
        punchHole = true;
      } else {
        zeroRange = true;
      }
    }
  }

  private final RawIo io;
  private final int fd;
  private final Unsupported unsupported;
  private final long endBytes;
  private final boolean unmap;
  private final Completion done;

  /** Writes zeros to what is left of the range, and then tells. */
  private final Fallback fallback;

  @FunctionalInterface
  interface Fallback {
    void write(long offsetBytes, long lengthBytes);
  }

  // Each thread that continues got the object from the one before through the raw I/O's queue.
  private long atBytes;
  private long pieceBytes;
  private boolean punching;

  ZeroRange(
      RawIo io,
      int fd,
      Unsupported unsupported,
      long fromBytes,
      long toBytes,
      boolean unmap,
      Completion done,
      Fallback fallback) {
    this.io = io;
    this.fd = fd;
    this.unsupported = unsupported;
    this.atBytes = fromBytes;
    this.endBytes = toBytes;
    this.unmap = unmap;
    this.done = done;
    this.fallback = fallback;
  }

  void start() {
    punching = unmap && !unsupported.punchHole;
    if (!punching && unsupported.zeroRange) {
      fallback.write(atBytes, endBytes - atBytes);
      return;
    }
    pieceBytes = Math.min(endBytes - atBytes, PIECE_BYTES);
    int mode = FALLOC_FL_KEEP_SIZE | (punching ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    try {
      io.fallocate(fd, mode, atBytes, pieceBytes, this);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
    }
  }

  @Override
  public void ended(int result) {
    if (result == -Errno.EOPNOTSUPP) {
      unsupported.add(punching);
    } else if (result < 0 && result != -Errno.EINTR) {
      done.complete(-result);
      return;
    } else if (result == 0) {
      atBytes += pieceBytes;
    }
    if (atBytes == endBytes) {
      done.complete(0);
    } else {
      start();
    }
  }
}
