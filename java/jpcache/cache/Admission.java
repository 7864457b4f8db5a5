package jpcache.cache;

import java.util.concurrent.atomic.AtomicLong;

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
  /** Beside the lanes' segments: those that one batch of write-back will free, and the log's. */
  private static final int SEGMENTS_BESIDE_LANES = 2;

  private final SegmentTable segments;
  private final int reserveSegments;
  private final AtomicLong earnedBytes = new AtomicLong();
  private volatile boolean nothingToEarn;

  Admission(SegmentTable segments, int lanes) {
    this.segments = segments;
    reserveSegments = Math.min(lanes + SEGMENTS_BESIDE_LANES, segments.count() / 4);
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
          bytes, (earned, more) -> Math.min(earned + more, WriteBack.BATCH_BYTES));
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
    earnedBytes.set(WriteBack.BATCH_BYTES);
  }
}
