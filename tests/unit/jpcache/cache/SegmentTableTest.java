package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.media.SegmentList;
import jpcache.pmem.MemoryRegion;
import jpcache.pmem.SimPmem;
import jpcache.support.Power;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SegmentTableTest {
  private static final int THREADS = 4;
  private static final int ROUNDS = 500;

  private final MemoryRegion region = new MemoryRegion(Layout.MIN_DEVICE_BYTES);
  private SegmentTable table;
  private int taken;

  @BeforeEach
  void format() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    CacheMedia media = media();
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    int[] references = new int[media.segments().count()];
    table = new SegmentTable(media.segments(), metadata, references, () -> taken++);
  }

  @AfterEach
  void close() {
    region.close();
  }

  @Test
  void dataNeverTakesTheLastSegmentAndTheLogDoes() {
    for (int i = 1; i < table.count(); i++) {
      assertNotEquals(SegmentTable.NONE, table.takeForData());
    }
    assertEquals(SegmentTable.NONE, table.takeForData());
    assertTrue(table.hasRoomForLog());
    assertNotEquals(SegmentTable.NONE, table.takeForLog());
    assertFalse(table.hasRoomForLog());
    assertEquals(SegmentTable.NONE, table.takeForLog());
    assertEquals(table.count(), taken);
  }

  @Test
  void onlyTheLastReferenceFreesASegment() {
    int segment = table.takeForData();
    table.addReference(segment);
    table.release(segment);
    assertEquals(1, table.usedCount());
    assertEquals(0, media().segments().generation(segment));
    table.release(segment);
    assertEquals(0, table.usedCount());
    assertEquals(1, table.generation(segment));
  }

  @Test
  void aFreeSegmentGetsNoReference() {
    int segment = table.takeForData();
    assertTrue(table.addReferenceIfUsed(segment));
    table.release(segment);
    assertEquals(1, table.usedCount());
    table.release(segment);
    assertFalse(table.addReferenceIfUsed(segment));
    assertEquals(0, table.usedCount());
  }

  @Test
  void theNextGenerationIsStoredWhileTheSegmentIsStillInUse() {
    int segment = table.takeForData();
    List<Integer> usedAtStore = new ArrayList<>();
    region.watch((offset, length) -> usedAtStore.add(table.usedCount()));
    table.release(segment);
    assertFalse(usedAtStore.isEmpty());
    assertTrue(usedAtStore.stream().allMatch(used -> used == 1), usedAtStore::toString);
    assertEquals(1, media().segments().generation(segment));
  }

  /** Stale keys could stand again if it were used. Whoever has let go of it goes on. */
  @Test
  void aSegmentWhoseGenerationCannotBeReadIsNeverFreeAgain() {
    try (SimPmem pmem = new SimPmem(Layout.MIN_DEVICE_BYTES, new Power())) {
      MediaFormatter.format(pmem, false, CacheMode.WRITE_BACK, 70);
      SegmentList segments = CacheMedia.read(pmem.name(), pmem.view()).segments();
      SegmentTable damaged =
          new SegmentTable(
              segments, new MetadataWriter(pmem, segments), new int[segments.count()], () -> {});
      int segment = damaged.takeForData();
      long at = MediaBuilder.generationAt(segments.deviceSegment(segment), 0).offsetBytes();
      pmem.poison(at & -4096, 4096);
      damaged.release(segment);
      assertEquals(1, damaged.usedCount());
      assertFalse(damaged.addReferenceIfUsed(segment));
    }
  }

  @Test
  void noSegmentIsHandedOutTwice() throws Exception {
    long seed = System.nanoTime();
    AtomicIntegerArray owners = new AtomicIntegerArray(table.count());
    AtomicIntegerArray releases = new AtomicIntegerArray(table.count());
    List<Callable<Void>> users = new ArrayList<>();
    for (int thread = 0; thread < THREADS; thread++) {
      RandomGenerator random = RandomGeneratorFactory.getDefault().create(seed + thread);
      users.add(() -> use(random, owners, releases, seed));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
      for (Future<Void> user : threads.invokeAll(users)) {
        user.get();
      }
    }
    assertEquals(0, table.usedCount());
    for (int segment = 0; segment < table.count(); segment++) {
      assertEquals(releases.get(segment), table.generation(segment), "seed " + seed);
      assertEquals(releases.get(segment), media().segments().generation(segment), "seed " + seed);
    }
  }

  private Void use(
      RandomGenerator random, AtomicIntegerArray owners, AtomicIntegerArray releases, long seed) {
    for (int round = 0; round < ROUNDS; round++) {
      int segment = random.nextInt(4) == 0 ? table.takeForLog() : table.takeForData();
      if (segment == SegmentTable.NONE) {
        continue;
      }
      assertEquals(0, owners.getAndIncrement(segment), "seed " + seed);
      borrow(random.nextInt(table.count()), seed);
      int more = random.nextInt(3);
      for (int i = 0; i < more; i++) {
        table.addReference(segment);
      }
      for (int i = 0; i < more; i++) {
        table.release(segment);
      }
      owners.decrementAndGet(segment);
      releases.incrementAndGet(segment);
      table.release(segment);
    }
    return null;
  }

  /** While somebody has a reference, however it came by it, the segment stays what it is. */
  private void borrow(int segment, long seed) {
    if (table.addReferenceIfUsed(segment)) {
      long generation = table.generation(segment);
      Thread.onSpinWait();
      assertEquals(generation, table.generation(segment), "seed " + seed);
      table.release(segment);
    }
  }

  private CacheMedia media() {
    return CacheMedia.read(region.name(), region.view());
  }
}
