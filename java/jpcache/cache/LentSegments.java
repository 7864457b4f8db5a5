package jpcache.cache;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import jpcache.block.Loan;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Cached data on loan to clients that send it from where it lies: its segment has a reference more,
 * so it is not filled anew meanwhile. (What it holds never changes otherwise.) Any thread.
 */
final class LentSegments implements Loan.Lender {
  private static final Logger LOG = System.getLogger(LentSegments.class.getName());

  private final PmemRegion region;
  private final SegmentTable segments;
  private final Runnable roomMayHaveCome;

  /**
   * What lends of these segments.
   *
   * @param roomMayHaveCome called when a loan has ended, which may have been all that kept a
   *     segment
   */
  LentSegments(PmemRegion region, SegmentTable segments, Runnable roomMayHaveCome) {
    this.region = region;
    this.segments = segments;
    this.roomMayHaveCome = roomMayHaveCome;
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
      LOG.log(
          Level.ERROR,
          "{0}: cached data failed while it was sent: {1}; that read fails",
          region.name(),
          e.getMessage());
      return false;
    }
  }

  @Override
  public void takeBack(int token) {
    segments.release(token);
    roomMayHaveCome.run();
  }
}
