package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.Seeds;
import org.junit.jupiter.api.Test;

/** What is seen of a subtree without its monitor was so at one moment, if the stamp says so. */
class SubtreePeekTest {
  private static final int SECTORS = Extent.SUBTREE_SECTORS;
  private static final int LOOKS = 400_000;
  private static final int LEAST_CHANGES_MET = 100;
  private static final int MOST_LOOKS = 40_000_000;

  private final Subtree subtree = new Subtree(true);
  private final AtomicBoolean stop = new AtomicBoolean();

  /** Always all of it is covered, by extents whose checksum is that of their place and segment. */
  private void change(SplittableRandom random) {
    while (!stop.get()) {
      int sectors = 1 + random.nextInt(random.nextInt(20) == 0 ? 2000 : 16);
      int start = random.nextInt(SECTORS - sectors + 1);
      synchronized (subtree) {
        insert(start, sectors, random.nextInt(1 << 20), random.nextInt((1 << 15) - sectors));
      }
    }
  }

  private void insert(int start, int sectors, int segment, int place) {
    subtree.insert(Extent.of(start, sectors, segment, place), crc(segment, place));
  }

  private static int crc(int segment, int place) {
    return 31 * segment + place;
  }

  @Test
  void whatIsValidatedIsWholeAndInOrder() throws InterruptedException {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    insert(0, SECTORS, 1, 0);
    Thread writer = Thread.ofPlatform().start(() -> change(new SplittableRandom(seed + 1)));
    ExtentList extents = new ExtentList();
    int seen = 0;
    int changesMet = 0;
    try {
      for (int i = 0; i < MOST_LOOKS && (seen < LOOKS || changesMet < LEAST_CHANGES_MET); i++) {
        int from = random.nextInt(SECTORS);
        int to = from + 1 + random.nextInt(Math.min(64, SECTORS - from));
        extents.clear();
        int stamp = subtree.stamp();
        if (subtree.peek(from, to, extents) && subtree.unchangedSince(stamp)) {
          check(extents, from, to, seed);
          seen++;
        } else {
          changesMet++;
        }
      }
    } finally {
      stop.set(true);
      writer.join();
    }
    assertTrue(seen > 0 && changesMet >= LEAST_CHANGES_MET, seen + " and " + changesMet);
  }

  /** What a touch meets may be of different moments; it must never throw. */
  @Test
  void aTouchMayBeMadeAtAnyMoment() throws InterruptedException {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    Thread writer =
        Thread.ofPlatform()
            .start(() -> {
              SplittableRandom changes = new SplittableRandom(seed + 1);
              while (!stop.get()) {
                synchronized (subtree) {
                  insert(changes.nextInt(SECTORS), 1, 1, 0);
                  if (changes.nextInt(2000) == 0) {
                    subtree.clear(0, SECTORS); // it grows from one leaf again
                  }
                }
              }
            });
    long touched = 0;
    try {
      for (int i = 0; i < LOOKS; i++) {
        touched += subtree.touch(random.nextInt(SECTORS));
      }
    } finally {
      stop.set(true);
      writer.join();
    }
    assertTrue(touched != 0, "nothing was there");
  }

  private static void check(ExtentList extents, int from, int to, long seed) {
    int at = from;
    for (int i = 0; i < extents.size(); i++) {
      long extent = extents.get(i);
      assertEquals(at, Extent.start(extent), "a gap or an overlap, seed " + seed);
      at = Extent.end(extent);
      if (Extent.isWhole(extent)) {
        assertEquals(
            crc(Extent.segment(extent), Extent.place(extent)),
            extents.dataCrc(i),
            "another extent's checksum, seed " + seed);
      }
    }
    assertEquals(to, at, "not to the end, seed " + seed);
  }
}
