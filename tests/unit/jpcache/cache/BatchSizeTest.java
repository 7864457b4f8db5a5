package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class BatchSizeTest {
  private static final long GIB = 1L << 30;
  private static final long QUICK = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long SLOW = TimeUnit.SECONDS.toNanos(3);

  private final BatchSize size = new BatchSize(2 * GIB);

  private void fullBatch(long nanos) {
    size.took(size.bytes(), nanos);
  }

  @Test
  void quickBatchesGrowToAnEighthOfTheCache() {
    for (int i = 0; i < 10; i++) {
      fullBatch(QUICK);
    }
    assertEquals(GIB / 4, size.bytes());
  }

  @Test
  void noBatchIsLargerThanAGibibyteHoweverLargeTheCache() {
    assertEquals(GIB, BatchSize.mostBytes(1L << 44));
  }

  @Test
  void slowBatchesShrinkToTheLeast() {
    fullBatch(SLOW);
    assertEquals(2 * BatchSize.LEAST_BYTES, size.bytes());
    fullBatch(SLOW);
    fullBatch(SLOW);
    assertEquals(BatchSize.LEAST_BYTES, size.bytes());
  }

  @Test
  void aBatchThatHadLessToDoSaysNothingOfALargerOne() {
    long first = size.bytes();
    size.took(first - 1, QUICK);
    assertEquals(first, size.bytes());
  }

  @Test
  void aSmallCacheNeverHasBatchesOfMoreThanItsShare() {
    assertEquals(32L << 20, new BatchSize(256L << 20).bytes());
  }
}
