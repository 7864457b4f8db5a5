package jpcache.pmem;

import jpcache.base.UserException;

/**
 * Mapped memory that cannot be read: the hardware has lost it (poison), the file was truncated
 * under its mapping, or the device below a mapped block device failed.
 *
 * <p>A server ends the request in question with EIO; for an offline tool the message is the answer
 * to its user.
 */
public final class PoisonedMemoryException extends UserException {
  private final long offsetBytes;

  PoisonedMemoryException(long offsetBytes, Throwable cause) {
    super(
        "byte "
            + offsetBytes
            + " cannot be read: the memory is poisoned, or the file was truncated while in use",
        cause);
    this.offsetBytes = offsetBytes;
  }

  /** Where in the mapping the first byte is that could not be read. */
  public long offsetBytes() {
    return offsetBytes;
  }
}
