package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.SplittableRandom;
import jpcache.Seeds;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A bulk load leaves what inserting one after the other leaves. */
class BulkLoadPropertyTest {
  /**
   * Few subtrees overlap much; many share buckets; those far apart share a group; the last is more
   * than one chunk.
   */
  @ParameterizedTest
  @CsvSource({
    "0,1,1,false",
    "5000,1,1,false",
    "5000,1,1,true",
    "300000,40,1,true",
    "300000,9000,1,false",
    "100000,300,1000,true",
    "20000,3,65536,false",
    "1500000,5000,1,true"
  })
  void equalsInsertionInOrder(int keys, int subtrees, int apart, boolean keepsCrcs) {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    long logicalBytes = (long) subtrees * apart * ExtentMap.SUBTREE_BYTES;
    ExtentMap expected = new ExtentMap(logicalBytes, keepsCrcs);
    ExtentMap loaded = new ExtentMap(logicalBytes, keepsCrcs);
    BulkLoad load = new BulkLoad(loaded);
    for (int key = 0; key < keys; key++) {
      int sectors = 1 + random.nextInt(random.nextInt(100) == 0 ? 4000 : 64);
      long subtree = (long) random.nextInt(subtrees) * apart * ExtentMap.SUBTREE_BYTES;
      int start = random.nextInt(Extent.SUBTREE_SECTORS - sectors + 1);
      long offset = subtree + 512L * start;
      int segment = random.nextInt(1000);
      int place = 512 * random.nextInt(28_000);
      long extent = Extent.ofBytes(offset, 512 * sectors, segment, place);
      if (random.nextInt(50) == 0) {
        expected.subtree(offset).clear(start, start + sectors);
        load.clear(offset, extent);
      } else {
        extent = random.nextBoolean() ? Extent.clean(extent) : extent;
        int dataCrc = random.nextInt();
        expected.subtree(offset).insert(extent, dataCrc);
        load.add(offset, extent, dataCrc);
      }
    }
    load.finish();
    ExtentList want = new ExtentList();
    ExtentList got = new ExtentList();
    for (int subtree = 0; subtree < subtrees; subtree++) {
      overlaps(expected, (long) subtree * apart, want);
      overlaps(loaded, (long) subtree * apart, got);
      assertEquals(want.size(), got.size(), "subtree " + subtree);
      for (int i = 0; i < want.size(); i++) {
        String where = "extent " + i + " of subtree " + subtree;
        assertEquals(want.get(i), got.get(i), where);
        if (Extent.isWhole(want.get(i))) {
          assertEquals(want.dataCrc(i), got.dataCrc(i), where);
        }
      }
    }
  }

  private static void overlaps(ExtentMap map, long subtree, ExtentList into) {
    into.clear();
    Subtree found = map.find(subtree << ExtentMap.SUBTREE_SHIFT);
    if (found != null) {
      found.overlaps(0, Extent.SUBTREE_SECTORS, into);
    }
  }
}
