package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What a bulk load costs. */
class BulkLoadTest {
  private static final int EXTENTS_OF_A_CHUNK = 1 << 20;

  /** Each chunk is of one bucket, and each of another one. */
  @Test
  void itsMemoryIsBoundedHoweverTheLogGoesFromSubtreeToSubtree() {
    int chunks = 6;
    BulkLoad load = new BulkLoad(new ExtentMap((long) chunks * ExtentMap.SUBTREE_BYTES));
    for (int chunk = 0; chunk < chunks; chunk++) {
      long offset = (long) chunk * ExtentMap.SUBTREE_BYTES;
      for (int i = 0; i < EXTENTS_OF_A_CHUNK; i++) {
        load.add(offset, Extent.of(i % Extent.SUBTREE_SECTORS, 1, 1, 0), 0);
      }
    }
    // The last chunk and the one before it may be there as they came.
    assertTrue(load.roomExtents() < 3 * EXTENTS_OF_A_CHUNK, load.roomExtents() + " extents");
    load.finish();
    assertTrue(load.roomExtents() < EXTENTS_OF_A_CHUNK, load.roomExtents() + " extents");
  }
}
