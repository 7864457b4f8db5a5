package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AdmissionTest {
  private static final long BATCH_BYTES = 16L << 20;

  private static final int BLOCK_BYTES = 4096;

  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private SegmentTable segments;
  private Admission admission;

  @BeforeEach
  void format() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    segments =
        new SegmentTable(media.segments(), metadata, new int[media.segments().count()], () -> {});
    admission = new Admission(segments, 1, BATCH_BYTES);
  }

  @AfterEach
  void close() {
    region.close();
  }

  private void fill() {
    while (segments.takeForData() != SegmentTable.NONE) {
      // until only the log's is free
    }
  }

  @Test
  void whileTheReserveIsWholeNobodyWaits() {
    assertFalse(admission.isScarce());
    assertTrue(admission.admit(Integer.MAX_VALUE));
  }

  @Test
  void inAFullCacheAWriteWaitsUntilRoomIsEarned() {
    fill();
    assertFalse(admission.admit(BLOCK_BYTES));
    admission.earn(BLOCK_BYTES);
    assertTrue(admission.admit(BLOCK_BYTES));
    assertFalse(admission.admit(BLOCK_BYTES));
  }

  @Test
  void aLargeWriteNeedsNoMoreThanASmallOneAndIsPaidForAfterwards() {
    fill();
    admission.earn(1);
    assertTrue(admission.admit(8 * BLOCK_BYTES));
    admission.earn(8 * BLOCK_BYTES - 1);
    assertFalse(admission.admit(1));
    admission.earn(1);
    assertTrue(admission.admit(1));
  }

  @Test
  void whatFoundNoRoomIsNotPaidFor() {
    fill();
    admission.earn(BLOCK_BYTES);
    assertTrue(admission.admit(BLOCK_BYTES));
    admission.refund(BLOCK_BYTES);
    assertTrue(admission.admit(BLOCK_BYTES));
  }

  @Test
  void noMoreThanABatchIsSaved() {
    fill();
    admission.earn(3 * BATCH_BYTES);
    assertTrue(admission.admit((int) BATCH_BYTES));
    assertFalse(admission.admit(1));
  }

  @Test
  void whatIsEarnedWithTheReserveWholeDoesNotCountLater() {
    admission.earn(BLOCK_BYTES);
    fill();
    assertFalse(admission.admit(1));
  }

  @Test
  void aDeviceThatFailsOpensTheReserveAndOneThatIsBackClosesIt() {
    fill();
    admission.setDeviceFails(true);
    assertTrue(admission.admit(BLOCK_BYTES));
    admission.setDeviceFails(false);
    assertFalse(admission.admit(BLOCK_BYTES));
  }

  @Test
  void debtIsForgivenWhenWriteBackHasNothingToDo() {
    fill();
    admission.earn(1);
    assertTrue(admission.admit(1 << 20));
    admission.earnEnough();
    assertTrue(admission.admit(BLOCK_BYTES));
  }
}
