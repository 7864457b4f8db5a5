package jpcache.cache;

import java.util.concurrent.atomic.AtomicLong;
import jpcache.media.Layout;

/**
 * Lets writes into a nearly full cache as fast as write-back goes, and no faster.
 *
 * <p>Room comes back a segment at a time. Writers that take it as it comes fill it in milliseconds
 * and then all wait for the next: two thirds of a second where the backing device writes 25 MB/s.
 * So while few segments are free, room must not only be there but have been earned: write-back
 * earns, request by request, as many bytes as it brings to the backing device. The free segments
 * meanwhile are the reserve that evens out what comes back in one piece.
 *
 * <p>While the reserve is whole, a write costs one volatile read here. Any thread; no locks.
 */
final class Admission {
  /** For the log, and for what a batch begins and ends in. */
  private static final int MORE_SEGMENTS = 2;

  private final SegmentTable segments;
  private final int reserveSegments;
  private final long mostEarnedBytes;
  private final AtomicLong earnedBytes = new AtomicLong();
  private volatile boolean nothingToEarn;

  /**
   * @param batchBytes what write-back frees at once, at most
   */
  Admission(SegmentTable segments, int lanes, long batchBytes) {
    this.segments = segments;
    mostEarnedBytes = batchBytes;
    int batchSegments = (int) (batchBytes / Layout.SEGMENT_DATA_BYTES);
    reserveSegments = Math.min(lanes + batchSegments + MORE_SEGMENTS, segments.count() / 4);
  }

  /** Whether so few segments are free that writes are admitted only as room is earned. */
  boolean isScarce() {
    return segments.count() - segments.usedCount() < reserveSegments;
  }

  /**
   * Whether a write may take room now.
   *
   * @return false if it must wait until more is earned
   */
  boolean admit(int lengthBytes) {
    if (!isScarce() || nothingToEarn) {
      return true;
    }
    if (earnedBytes.get() <= 0) {
      return false;
    }
    earnedBytes.addAndGet(-lengthBytes); // a large write may go into debt
    return true;
  }

  /** A write that was admitted has found no room after all. */
  void refund(int lengthBytes) {
    if (isScarce()) {
      earnedBytes.addAndGet(lengthBytes);
    }
  }

  /** Write-back has brought so many bytes of the log to the backing device. */
  void earn(long bytes) {
    if (isScarce()) {
      earnedBytes.accumulateAndGet(
          bytes, (earned, more) -> Math.min(earned + more, mostEarnedBytes));
    } else {
      earnedBytes.set(0);
    }
  }

  /**
   * Whether the backing device fails: there is nothing to earn then, and nothing to even out, so
   * the reserve is better used than kept.
   */
  void setDeviceFails(boolean fails) {
    if (nothingToEarn != fails) {
      earnedBytes.set(0);
      nothingToEarn = fails;
    }
  }

  /** There is nothing that write-back could do for those who wait: forgives what is owed. */
  void earnEnough() {
    earnedBytes.set(mostEarnedBytes);
  }
}
