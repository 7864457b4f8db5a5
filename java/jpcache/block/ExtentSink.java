package jpcache.block;

/**
 * Is told by {@link BlockQueue#describe} what a range of a device consists of, one extent after the
 * other, without gaps.
 */
@FunctionalInterface
public interface ExtentSink {
  /** No space is allocated for it on the device below. */
  int HOLE = 1;

  /** It reads as zeros. Where this is not set it may do so all the same. */
  int ZERO = 1 << 1;

  /** The cache holds it. */
  int CACHED = 1 << 2;

  /** The cache holds it, and the device below does not have it yet. Comes with {@link #CACHED}. */
  int DIRTY = 1 << 3;

  /**
   * The next extent.
   *
   * @param lengthBytes more than 0, and a multiple of the device's minimum block
   * @param flags what is known of it: any of the above, or 0
   * @return false if no more is wanted
   */
  boolean extent(long lengthBytes, int flags);
}
