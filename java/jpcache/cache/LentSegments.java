package jpcache.cache;

import jpcache.block.Loan;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Cached data on loan to clients that send it from where it lies: its segment has a reference more,
 * so it is not filled anew meanwhile. (What it holds never changes otherwise.) Any thread.
 */
final class LentSegments implements Loan.Lender {
  private final PmemRegion region;
  private final SegmentTable segments;

  LentSegments(PmemRegion region, SegmentTable segments) {
    this.region = region;
    this.segments = segments;
  }

  /**
   * Lends data that was found in a segment.
   *
   * @param generation what the segment had then
   * @return false if it has been recycled since, or the data cannot be read
   */
  boolean lend(int segment, long generation, long offsetBytes, int lengthBytes, Loan loan) {
    if (!segments.addReferenceIfUsed(segment)) {
      return false;
    }
    if (segments.generation(segment) != generation
        || !PmemReads.canRead(region.view(), offsetBytes, lengthBytes)) {
      segments.release(segment);
      return false;
    }
    loan.begin(this, region.address() + offsetBytes, lengthBytes, segment);
    return true;
  }

  @Override
  public boolean copy(long fromAddress, long toAddress, int lengthBytes) {
    try {
      PmemReads.copy(region.view(), fromAddress - region.address(), toAddress, lengthBytes);
      return true;
    } catch (PoisonedMemoryException e) {
      return false;
    }
  }

  @Override
  public void takeBack(int token) {
    segments.release(token);
  }
}
