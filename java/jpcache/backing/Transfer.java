package jpcache.backing;

import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * One read or write that ends with all of its bytes or with an errno: what the system did only in
 * part or was interrupted in is continued.
 *
 * <p>It is continued at a multiple of the alignment, because O_DIRECT takes no other offset or
 * address; bytes past the last multiple are moved again. A call that moves less is the end of a
 * file or device that has become smaller, and gives EIO. Where the raw I/O takes nothing more for
 * want of memory, that is ENOMEM.
 */
final class Transfer implements RawIo.Result {
  private final RawIo io;
  private final int fd;
  private final boolean write;
  private final int alignmentBytes;
  private final Completion done;

  // Each thread that continues got the object from the one before through the raw I/O's queue.
  private long offsetBytes;
  private int lengthBytes;
  private long address;

  private Transfer(
      RawIo io,
      Descriptor file,
      boolean write,
      long offsetBytes,
      int lengthBytes,
      long address,
      Completion done) {
    this.io = io;
    this.fd = file.fd();
    this.write = write;
    this.alignmentBytes = file.alignmentBytes();
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
    this.address = address;
    this.done = done;
  }

  /**
   * An open file.
   *
   * @param alignmentBytes a power of two: offsets, lengths and addresses that are multiples of it
   *     are taken
   */
  record Descriptor(int fd, int alignmentBytes) {}

  static void read(
      RawIo io, Descriptor file, long offsetBytes, int lengthBytes, long address, Completion done) {
    start(io, file, false, offsetBytes, lengthBytes, address, done);
  }

  static void write(
      RawIo io, Descriptor file, long offsetBytes, int lengthBytes, long address, Completion done) {
    start(io, file, true, offsetBytes, lengthBytes, address, done);
  }

  private static void start(
      RawIo io,
      Descriptor file,
      boolean write,
      long offsetBytes,
      int lengthBytes,
      long address,
      Completion done) {
    Transfer transfer;
    try {
      transfer = new Transfer(io, file, write, offsetBytes, lengthBytes, address, done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    transfer.submit();
  }

  private void submit() {
    try {
      if (write) {
        io.write(fd, offsetBytes, lengthBytes, address, this);
      } else {
        io.read(fd, offsetBytes, lengthBytes, address, this);
      }
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
    }
  }

  @Override
  public void ended(int result) {
    if (result == -Errno.EINTR) {
      submit();
      return;
    }
    if (result < 0) {
      done.complete(-result);
      return;
    }
    int moved = result == lengthBytes ? result : result & -alignmentBytes;
    if (moved == 0) {
      done.complete(Errno.EIO);
      return;
    }
    offsetBytes += moved;
    lengthBytes -= moved;
    address += moved;
    if (lengthBytes == 0) {
      done.complete(0);
    } else {
      submit();
    }
  }
}
