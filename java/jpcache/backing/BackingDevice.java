package jpcache.backing;

import jpcache.base.Completion;

/**
 * A block device below the cache. Requests are asynchronous: they may complete on any thread, in
 * any order, and on the caller's before the call returns. No request waits for I/O or for room: a
 * device takes as many requests as it is given, so callers bound what they have under way.
 *
 * <p>Offsets and lengths are multiples of {@link #SECTOR_BYTES}, also where the device's own blocks
 * are larger: a cache cuts data at the end of a segment, and may forget one part before the other.
 * Addresses are those of native memory and may be any. Where the system insists on more, the device
 * sees to it.
 *
 * <p>Of requests under way at the same time that overlap, at least one of them a write, the outcome
 * is any mixture of the two: who needs an order waits for the first. Requests that do not overlap
 * never touch each other's bytes, whatever blocks the system makes of them.
 *
 * <p>How requests fail: EINVAL if they are not inside the device or not multiples of a sector,
 * EROFS if they would write a read-only device, ESHUTDOWN after {@link #close}, EIO where a device
 * that shrank has nothing any more, ENOMEM where memory is wanting, otherwise with what the system
 * says. A write that failed may have written any part. No method that takes a {@code done} throws:
 * whatever goes wrong is told to it, once, so that nobody has to ask himself what has begun.
 *
 * <p>All methods may be called from any thread; {@link #close} not from a completion, for which it
 * would wait.
 */
public interface BackingDevice extends AutoCloseable {
  /** The granularity of requests, that of the cache's extents. */
  int SECTOR_BYTES = 512;

  /** How users call it: the path it was opened by. */
  String name();

  /** As it was on opening; a multiple of {@link #blockBytes}. */
  long sizeBytes();

  /**
   * What its users know as its block: the logical block of a block device, 512 for a file. Of
   * requests that are not multiples of this, the device reads and writes the blocks.
   */
  int blockBytes();

  /** Offsets, lengths and addresses that are multiples of this are served without a copy. */
  int directAlignmentBytes();

  /**
   * Writes of multiples of this cost the device least: the physical block of a disk, the file
   * system's block. A power of two, and a multiple of {@link #blockBytes}.
   */
  default int preferredBlockBytes() {
    return Math.max(blockBytes(), directAlignmentBytes());
  }

  boolean readOnly();

  /** How many requests it works on at once: more of them wait, and fewer leave it idle in part. */
  default int queueDepth() {
    return 32;
  }

  /** Reads into memory, which is the device's until {@code done} is called. */
  void read(long offsetBytes, int lengthBytes, long address, Completion done);

  /**
   * Writes from memory, which must not change until {@code done} is called. Durable after a flush.
   */
  void write(long offsetBytes, int lengthBytes, long address, Completion done);

  /**
   * Makes a range read as zeros; a write in every other respect, though it takes no memory and a
   * long range costs little where the device knows how. Durable after a flush.
   *
   * @param lengthBytes as much as the device's size
   * @param unmap the device may give up the space that the range takes; otherwise it keeps it
   */
  default void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    ZeroWrites.start(this, offsetBytes, lengthBytes, done);
  }

  /**
   * Where the first hole of a range begins that the device knows of: nothing is stored there, and
   * it reads as zeros, until something that has not completed before this call is written there.
   *
   * <p>Reads nothing from the device but what the file system has not yet read of its own maps, and
   * does not wait for {@link #zero}, which keeps a file system from answering: meanwhile nobody
   * knows. It may wait a moment for a write that allocates, or for a zero that begins just now.
   *
   * @return a multiple of {@link #blockBytes}; {@code toBytes} if there is none, or nobody knows
   */
  default long nextHole(long fromBytes, long toBytes) {
    return toBytes;
  }

  /**
   * Where a hole that begins at {@code fromBytes} ends; waits as {@link #nextHole} does.
   *
   * @return a multiple of {@link #blockBytes}; {@code fromBytes} if there is no hole any more, or
   *     nobody knows
   */
  default long nextData(long fromBytes, long toBytes) {
    return fromBytes;
  }

  /**
   * All writes that had completed before this call are durable when {@code done} is called with 0.
   *
   * <p>After a flush that failed, every write since the last good one is in doubt, whoever made it:
   * the kernel tells such an error once and may have dropped the data. They must be written again
   * before another flush can vouch for them.
   */
  void flush(Completion done);

  /** Waits for what is under way, then gives the device and its lock up. */
  @Override
  void close();
}
