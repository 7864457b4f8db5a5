package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.SplittableRandom;
import jpcache.Seeds;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A bulk load leaves what inserting one after the other leaves. */
class BulkLoadPropertyTest {
  /** Few subtrees overlap much; many share buckets; the last is more than one chunk. */
  @ParameterizedTest
  @CsvSource({"0,1", "5000,1", "300000,40", "300000,9000", "1500000,5000"})
  void equalsInsertionInOrder(int keys, int subtrees) {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    ExtentMap expected = new ExtentMap((long) subtrees * ExtentMap.SUBTREE_BYTES);
    ExtentMap loaded = new ExtentMap((long) subtrees * ExtentMap.SUBTREE_BYTES);
    BulkLoad load = new BulkLoad(loaded);
    for (int key = 0; key < keys; key++) {
      int sectors = 1 + random.nextInt(64);
      long subtree = (long) random.nextInt(subtrees) << ExtentMap.SUBTREE_SHIFT;
      long offset = subtree + 512L * random.nextInt(Extent.SUBTREE_SECTORS - sectors + 1);
      int segment = random.nextInt(1000);
      int place = 512 * random.nextInt(30_000);
      long extent = Extent.ofBytes(offset, 512 * sectors, segment, place);
      expected.subtree(offset).insert(extent);
      load.add(offset, extent, 0);
    }
    load.finish();
    ExtentList want = new ExtentList();
    ExtentList got = new ExtentList();
    for (int subtree = 0; subtree < subtrees; subtree++) {
      overlaps(expected, subtree, want);
      overlaps(loaded, subtree, got);
      assertEquals(want.size(), got.size(), "subtree " + subtree);
      for (int i = 0; i < want.size(); i++) {
        assertEquals(want.get(i), got.get(i), "extent " + i + " of subtree " + subtree);
      }
    }
  }

  private static void overlaps(ExtentMap map, int subtree, ExtentList into) {
    into.clear();
    Subtree found = map.find((long) subtree << ExtentMap.SUBTREE_SHIFT);
    if (found != null) {
      found.overlaps(0, Extent.SUBTREE_SECTORS, into);
    }
  }
}
