package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import jpcache.Seeds;
import org.junit.jupiter.api.Test;

class WriteBatchPropertyTest {
  private static final int SECTOR = 512;

  /** Far from 0, so that a truncated offset would show. */
  private static final long BASE = (1L << 49) - 64 * SECTOR;

  private static final long NOTHING = -1;
  private static final long UNMAPPED = -2;
  private static final long ZEROED = -3;
  private static final long ZERO_DATA = 1L << 60;

  private final WriteBatch batch = new WriteBatch();

  @Test
  void thePlanIsTheNewestDataOfEverySectorInOrderAndCannotBeMergedFurther() {
    SplittableRandom random = new SplittableRandom(Seeds.next(WriteBatchPropertyTest.class));
    for (int round = 0; round < 5_000; round++) {
      int sectors = 1 + random.nextInt(200);
      long[] model = new long[sectors];
      Arrays.fill(model, NOTHING);
      batch.clear();
      int keys = random.nextInt(random.nextInt(100) + 1);
      for (int i = 0; i < keys; i++) {
        int from = random.nextInt(sectors);
        int length = 1 + random.nextInt(Math.min(sectors - from, 1 + random.nextInt(40)));
        addKey(random, model, from, length);
      }
      batch.plan();
      check(model);
    }
  }

  private void addKey(SplittableRandom random, long[] model, int from, int length) {
    long offset = BASE + (long) from * SECTOR;
    if (random.nextInt(8) == 0) {
      Arrays.fill(model, from, from + length, NOTHING);
      batch.addClean(offset, length * SECTOR);
      return;
    }
    boolean zeros = random.nextInt(8) == 0;
    if (!zeros && random.nextInt(8) == 0) {
      boolean unmap = random.nextBoolean();
      Arrays.fill(model, from, from + length, unmap ? UNMAPPED : ZEROED);
      batch.addZeros(offset, length * SECTOR, unmap);
      return;
    }
    // Few segments and places, so that data often adjoins.
    int segment = random.nextInt(2);
    int place = random.nextInt(3) == 0 ? from : random.nextInt(100);
    for (int i = 0; i < length; i++) {
      model[from + i] = (zeros ? ZERO_DATA : 0) | place(segment, (place + i) * SECTOR);
    }
    if (zeros) {
      batch.addZeroData(offset, length * SECTOR, segment, place * SECTOR);
    } else {
      batch.add(offset, length * SECTOR, segment, place * SECTOR);
    }
  }

  private static long place(int segment, int offsetBytes) {
    return (long) segment << Integer.SIZE | offsetBytes;
  }

  private long planned(int extent, int sector) {
    if (!batch.hasPlace(extent)) {
      return batch.mayUnmap(extent) ? UNMAPPED : ZEROED;
    }
    return (batch.isZeros(extent) ? ZERO_DATA : 0)
        | place(batch.segment(extent), batch.segmentOffsetBytes(extent) + sector * SECTOR);
  }

  private boolean dataAdjoins(int extent) {
    if (!batch.hasPlace(extent - 1)
        || !batch.hasPlace(extent)
        || batch.isZeros(extent - 1) != batch.isZeros(extent)) {
      return planned(extent - 1, 0) == planned(extent, 0);
    }
    return batch.segment(extent - 1) == batch.segment(extent)
        && batch.segmentOffsetBytes(extent - 1) + batch.lengthBytes(extent - 1)
            == batch.segmentOffsetBytes(extent);
  }

  private void check(long[] model) {
    long[] planned = new long[model.length];
    Arrays.fill(planned, NOTHING);
    long bytes = 0;
    long zeroBytes = 0;
    for (int i = 0; i < batch.extents(); i++) {
      int first = (int) ((batch.offsetBytes(i) - BASE) / SECTOR);
      for (int s = 0; s < batch.lengthBytes(i) / SECTOR; s++) {
        planned[first + s] = planned(i, s);
      }
      zeroBytes += batch.isZeros(i) ? batch.lengthBytes(i) : 0;
      bytes += batch.lengthBytes(i);
      if (i > 0) {
        long end = batch.offsetBytes(i - 1) + batch.lengthBytes(i - 1);
        assertTrue(end <= batch.offsetBytes(i), "extents are in order and disjoint");
        assertTrue(end < batch.offsetBytes(i) || !dataAdjoins(i), "what adjoins is merged");
        assertEquals(end == batch.offsetBytes(i), batch.runEnd(i - 1) > i, "runs have no gap");
      }
    }
    assertEquals(Arrays.toString(model), Arrays.toString(planned));
    assertEquals(bytes, batch.bytes());
    assertEquals(zeroBytes, batch.zeroBytes());
  }

  /** Lengths are ints. */
  @Test
  void zerosThatAdjoinAreOneExtentUpToAGibibyte() {
    for (int i = 0; i < 1024; i++) {
      batch.addZeros((long) i << 22, 1 << 22, true);
    }
    batch.plan();
    assertEquals(4, batch.extents());
    assertEquals(1 << 30, batch.lengthBytes(3));
    assertEquals(4L << 30, batch.bytes());
    assertEquals(WriteBatch.ZERO_BYTES_AT_ONCE, batch.addedZeroBytes());
  }

  @Test
  void dataThatAdjoinsIsExtentsOfAMebibyteInOneRun() {
    int keyBytes = 4096;
    int half = WriteBatch.MAX_DATA_BYTES / 2;
    for (int place = 0; place < 5 * half; place += keyBytes) {
      batch.add(place, keyBytes, 3, place);
    }
    batch.plan();
    assertEquals(3, batch.extents());
    assertEquals(2 * half, batch.lengthBytes(1));
    assertEquals(4 * half, batch.segmentOffsetBytes(2));
    assertEquals(half, batch.lengthBytes(2));
    assertEquals(3, batch.runEnd(0));
  }

  @Test
  void aLargeBatchGrowsAndThenPlansAnotherOneFromTheStart() {
    for (int i = 0; i < 10_000; i++) {
      batch.add(BASE - 2L * i * SECTOR, SECTOR, 1, i * SECTOR);
    }
    batch.plan();
    assertEquals(10_000, batch.extents());
    assertEquals(BASE, batch.offsetBytes(9_999));
    batch.clear();
    batch.add(SECTOR, SECTOR, 7, 0);
    batch.plan();
    assertEquals(1, batch.extents());
    assertEquals(7, batch.segment(0));
    assertEquals(SECTOR, batch.bytes());
  }

  @Test
  void anOffsetThatDoesNotFitTheSortIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> batch.add(ExtentMap.MAX_LOGICAL_BYTES + SECTOR, SECTOR, 0, 0));
  }
}
