package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import jpcache.Seeds;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A subtree says of every sector what a plain array of sectors says. */
class SubtreePropertyTest {
  private static final int SECTORS = Extent.SUBTREE_SECTORS;

  /** For each sector 1 + (segment, place) of its data, or 0. */
  private final long[] model = new long[SECTORS];

  /** Some of what was put in lately. */
  private final long[] inserted = new long[997];

  private final Subtree subtree = new Subtree();
  private final ExtentList found = new ExtentList();

  /** A million operations of several shapes: tiny, page-sized, mixed up to the whole subtree. */
  @ParameterizedTest
  @CsvSource({"400000,8,1", "300000,8,8", "200000,200,1", "100000,8192,1"})
  void agreesWithAnArrayOfSectors(int operations, int maxSectors, int alignSectors) {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < operations; i++) {
      int sectors = alignUp(1 + random.nextInt(maxSectors), alignSectors);
      int start = random.nextInt((SECTORS - sectors) / alignSectors + 1) * alignSectors;
      int kind = random.nextInt(16);
      if (kind < 2) {
        checkLookup(start, start + sectors, seed);
      } else if (kind < 5 && inserted[i % inserted.length] != 0) {
        remove(inserted[i % inserted.length]);
      } else {
        int segment = random.nextInt(1 << 20);
        int place = random.nextInt((1 << 15) - sectors);
        long extent = Extent.of(start, sectors, segment, place);
        subtree.insert(extent);
        inserted[i % inserted.length] = extent;
        for (int s = 0; s < sectors; s++) {
          model[start + s] = 1 + ((long) segment << 15) + place + s;
        }
      }
    }
    checkLookup(0, SECTORS, seed);
    assertTrue(found.size() == subtree.size(), "size, seed " + seed);
  }

  @Test
  void aSequentialWriterLeavesLeavesNearlyFull() {
    for (int page = 0; page < SECTORS / 8; page++) {
      subtree.insert(Extent.of(page * 8, 8, 1, page * 8));
    }
    assertEquals(SECTORS / 8, subtree.size());
    assertTrue(subtree.leafCount() <= 10, "leaves " + subtree.leafCount());
  }

  private void remove(long extent) {
    subtree.remove(extent, found);
    for (int s = Extent.start(extent); s < Extent.end(extent); s++) {
      int place = Extent.place(extent) + s - Extent.start(extent);
      if (model[s] == 1 + ((long) Extent.segment(extent) << 15) + place) {
        model[s] = 0;
      }
    }
  }

  private void checkLookup(int from, int to, long seed) {
    long[] actual = new long[SECTORS];
    found.clear();
    subtree.overlaps(from, to, found);
    int last = from;
    for (int i = 0; i < found.size(); i++) {
      long extent = found.get(i);
      assertTrue(Extent.start(extent) >= last, "out of order or overlapping, seed " + seed);
      last = Extent.end(extent);
      for (int s = Extent.start(extent); s < last; s++) {
        int place = Extent.place(extent) + s - Extent.start(extent);
        actual[s] = 1 + ((long) Extent.segment(extent) << 15) + place;
      }
    }
    assertTrue(last <= to, "beyond what was asked for, seed " + seed);
    int mismatch = Arrays.mismatch(model, from, to, actual, from, to);
    assertEquals(-1, mismatch, "sector " + (from + mismatch) + ", seed " + seed);
  }

  private static int alignUp(int n, int unit) {
    return Math.min((n + unit - 1) / unit * unit, SECTORS);
  }
}
