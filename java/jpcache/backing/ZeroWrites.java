package jpcache.backing;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * Makes a range zeros by writing them, a bounded piece after the other from memory that all share.
 *
 * <p>A device that completes at once has the next piece written in a loop, not by recursion.
 */
final class ZeroWrites implements Completion {
  /** Where the pieces go. */
  @FunctionalInterface
  interface Target {
    void write(long offsetBytes, int lengthBytes, long address, Completion done);
  }

  private static final int PIECE_BYTES = 1 << 20;
  private static final MemorySegment ZEROS =
      Arena.global().allocate(PIECE_BYTES, Geometry.MAX_GRANULE_BYTES);

  private final Target target;
  private final long endBytes;
  private final Completion done;

  /** How many pieces may begin; whoever takes it from 0 writes until it is 0 again. */
  private final AtomicInteger turns = new AtomicInteger();

  // Of whoever has the turn.
  private long atBytes;
  private int pieceBytes;
  private int errno;

  private ZeroWrites(Target target, long offsetBytes, long lengthBytes, Completion done) {
    this.target = target;
    this.atBytes = offsetBytes;
    this.endBytes = offsetBytes + lengthBytes;
    this.done = done;
  }

  static void start(Target target, long offsetBytes, long lengthBytes, Completion done) {
    ZeroWrites writes;
    try {
      writes = new ZeroWrites(target, offsetBytes, lengthBytes, done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    writes.next();
  }

  /** Of a whole device's range: what is not inside it, or not of sectors, is refused first. */
  static void start(BackingDevice device, long offsetBytes, long lengthBytes, Completion done) {
    boolean inside =
        offsetBytes >= 0
            && lengthBytes >= 0
            && lengthBytes <= device.sizeBytes()
            && offsetBytes <= device.sizeBytes() - lengthBytes;
    if (inside && ((offsetBytes | lengthBytes) & (BackingDevice.SECTOR_BYTES - 1)) == 0) {
      start(device::write, offsetBytes, lengthBytes, done);
    } else {
      done.complete(Errno.EINVAL);
    }
  }

  @Override
  public void complete(int result) {
    errno = result;
    atBytes += pieceBytes;
    next();
  }

  private void next() {
    if (turns.getAndIncrement() > 0) {
      return; // the one below on this stack, or on another thread's, goes on
    }
    do {
      if (errno != 0 || atBytes == endBytes) {
        done.complete(errno);
        return;
      }
      pieceBytes = (int) Math.min(endBytes - atBytes, PIECE_BYTES);
      target.write(atBytes, pieceBytes, ZEROS.address(), this);
    } while (turns.decrementAndGet() > 0);
  }
}
