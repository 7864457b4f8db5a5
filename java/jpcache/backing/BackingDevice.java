package jpcache.backing;

import jpcache.base.Completion;

/**
 * A block device below the cache. Requests are asynchronous: they may complete on any thread, in
 * any order, and on the caller's before the call returns.
 *
 * <p>Offsets and lengths are multiples of {@link #blockBytes}; addresses are those of native memory
 * and may be any. Where the system insists on more (O_DIRECT's alignment), the device sees to it.
 *
 * <p>All methods may be called from any thread.
 */
public interface BackingDevice extends AutoCloseable {
  /** How users call it: the path it was opened by. */
  String name();

  long sizeBytes();

  /** The granularity of requests: the logical block of a block device, 512 for a file. */
  int blockBytes();

  /** Offsets, lengths and addresses that are multiples of this are served without a copy. */
  int directAlignmentBytes();

  boolean readOnly();

  /** Reads into memory, which is the device's until {@code done} is called. */
  void read(long offsetBytes, int lengthBytes, long address, Completion done);

  /**
   * Writes from memory, which must not change until {@code done} is called. Durable after a flush.
   */
  void write(long offsetBytes, int lengthBytes, long address, Completion done);

  /** All writes that had completed before this call are durable when {@code done} is called. */
  void flush(Completion done);

  /** Waits for what is under way, then gives the device and its lock up. */
  @Override
  void close();
}
