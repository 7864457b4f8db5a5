package jpcache.block;

/**
 * A block device that clients read and write through queues.
 *
 * <p>All methods may be called from any thread.
 */
public interface BlockDevice {
  /** The most bytes that one request may carry (32 MiB, the limit that NBD clients assume). */
  int MAX_TRANSFER_BYTES = 32 << 20;

  long sizeBytes();

  /** Offsets and lengths of requests are multiples of this; a power of two, 512 or more. */
  int minimumBlockBytes();

  /** Requests that are multiples of this cost least. */
  int preferredBlockBytes();

  boolean readOnly();

  /**
   * Whether {@link BlockQueue#writeZeroes} is now sure to take less time than a write of as much.
   */
  boolean zeroesFast();

  /** A new queue; whoever opens it uses it from one thread at a time and closes it. */
  BlockQueue openQueue();
}
