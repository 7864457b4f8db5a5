package jpcache.cache;

import jpcache.base.Completion;
import jpcache.extent.ExtentMap;

/**
 * A range that a client wants zeroed, on its way: it is staged part by part, and completes when the
 * last part has, with the first error that any of them met.
 *
 * <p>Used by one thread at a time; its parts may complete on any.
 */
final class ZeroedRange {
  /** A part has a key for each of its subtrees, so up to 256. */
  private static final long PART_BYTES = 1L << 30;

  static final int PART_MAX_KEYS = (int) (PART_BYTES >>> ExtentMap.SUBTREE_SHIFT);

  private long atBytes;
  private final long endBytes;
  final boolean unmap;
  final boolean fua;
  private final Miss parts;

  ZeroedRange(long offsetBytes, long lengthBytes, boolean unmap, boolean fua, Completion done) {
    atBytes = offsetBytes;
    endBytes = offsetBytes + lengthBytes;
    this.unmap = unmap;
    this.fua = fua;
    parts = new Miss(done);
  }

  /** Where the next part begins. */
  long partBytes() {
    return atBytes;
  }

  /** Where the next part ends, not more than 1 GiB further on. */
  long partEndBytes() {
    return Math.min(endBytes, (atBytes & -PART_BYTES) + PART_BYTES);
  }

  /** What the next part counts for, where writes count for their data. */
  int partCostBytes() {
    long first = partBytes() >>> ExtentMap.SUBTREE_SHIFT;
    long last = (partEndBytes() - 1) >>> ExtentMap.SUBTREE_SHIFT;
    return (int) (last - first + 1) * ZeroExtents.KEY_COST_BYTES;
  }

  /** Who is to be told when the next part has ended. */
  Completion beginPart() {
    parts.addPart();
    return parts;
  }

  /** The next part has been staged. */
  void partStaged() {
    atBytes = partEndBytes();
    if (isStaged()) {
      parts.complete(0);
    }
  }

  boolean isStaged() {
    return atBytes == endBytes;
  }

  /** What has not been staged will not be. */
  void fail(int errno) {
    atBytes = endBytes;
    parts.complete(errno);
  }
}
