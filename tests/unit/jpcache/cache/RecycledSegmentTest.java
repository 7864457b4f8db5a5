package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.block.ReadBatch;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * A segment is written back, collected and filled with other data between the moment at which a
 * reader has found what it wants there and the moment at which it copies. Readers hold nothing that
 * would keep it from happening; they look at the segment's generation afterwards.
 *
 * <p>One thread is enough: the region lets everything happen in the call with which the copy
 * begins.
 */
class RecycledSegmentTest {
  private static final int DEVICE_BYTES = 32 << 20;
  private static final int SEGMENTS = 6;
  private static final int COUNT = 16;
  private static final int OTHER_BYTES = 4 << 20;
  private static final long OTHER_OFFSET = 8L << 20;
  private static final int MOST_WRITES = 100 * SEGMENTS;

  /** Memory in which something may happen just before a load. */
  private static final class SlowRegion extends MemoryRegion {
    private @Nullable Runnable beforeLoad;

    SlowRegion() {
      super(512L << 20);
    }

    void beforeNextLoad(Runnable what) {
      beforeLoad = what;
    }

    @Override
    public MemorySegment view() {
      Runnable what = beforeLoad;
      beforeLoad = null;
      if (what != null) {
        what.run();
      }
      return super.view();
    }
  }

  private final Arena arena = Arena.ofConfined();
  private final SlowRegion region = new SlowRegion();
  private final MemoryBacking backing =
      new MemoryBacking(SectorModel.firstContent(DEVICE_BYTES / SECTOR));
  private final MemorySegment buffer = arena.allocate(OTHER_BYTES);
  private final Cache cache = open();
  private final BlockQueue reader = cache.openQueue();
  private final BlockQueue writer = cache.openQueue();

  private Cache open() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 0);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    new MetadataWriter(region, media.segments())
        .cacheInfo(new CacheInfo(0, SEGMENTS, media.info().flags()));
    return Cache.open(region, backing, CacheOptions.defaults().withLanes(1).withWriteBack(0, 0));
  }

  @AfterEach
  void close() {
    reader.close();
    writer.close();
    cache.close();
    region.close();
    arena.close();
  }

  private void write(int sector, int count, int version) {
    SectorModel.fill(buffer, 0, sector, count, version);
    write((long) sector * SECTOR, count * SECTOR);
  }

  private void write(long offset, int bytes) {
    int[] result = {-1};
    writer.write(offset, bytes, buffer.address(), false, errno -> result[0] = errno);
    writer.commit();
    assertEquals(0, result[0]);
  }

  /** The data of the first sector; it must be cached. */
  private long firstExtent() {
    ExtentList found = new ExtentList();
    cache.map().subtree(0).overlaps(0, 1, found);
    assertEquals(1, found.size(), "cached");
    return found.get(0);
  }

  /** Writes until the place where the first sector lies has other data. */
  private void recycle() {
    long extent = firstExtent();
    int segment = Extent.segment(extent);
    long place = cache.segments().dataOffset(segment) + Extent.placeBytes(extent);
    long generation = cache.segments().generation(segment);
    AtomicBoolean overwritten = new AtomicBoolean();
    region.watch((offset, length) -> {
      if (offset <= place && place < offset + length) {
        assertFalse(cache.segments().generation(segment) == generation, "generation comes late");
        overwritten.set(true);
      }
    });
    for (int i = 0; i < MOST_WRITES && !overwritten.get(); i++) {
      write(OTHER_OFFSET, OTHER_BYTES);
      while (cache.maintenance().step(System.nanoTime()) == 0) {
        // until all is written back and collected
      }
    }
    region.watch((offset, length) -> {});
    assertTrue(overwritten.get(), "the segment is not used again");
  }

  /** Reads sectors whose segment is used again before they are copied, and looks at them. */
  private void readWhile(int sector, int count, Runnable happens, int... versions) {
    MemorySegment into = arena.allocate((long) count * SECTOR);
    AtomicBoolean happened = new AtomicBoolean();
    region.beforeNextLoad(() -> {
      happens.run();
      happened.set(true);
    });
    int[] result = {-1};
    reader.read((long) sector * SECTOR, count * SECTOR, into.address(), errno -> result[0] = errno);
    assertTrue(happened.get(), "nothing was copied out of the cache");
    assertEquals(0, result[0]);
    for (int i = 0; i < count; i++) {
      int version = SectorModel.versionOf(into, (long) i * SECTOR, sector + i);
      assertEquals(versions[i * versions.length / count], version, "sector " + (sector + i));
    }
  }

  @Test
  void aReadThatFindsAllOfItsBytesLooksAgain() {
    write(0, COUNT, 1);
    readWhile(0, COUNT, this::recycle, 1);
  }

  @Test
  void readsThatAreHandedOverTogetherLookAgain() {
    write(0, 2 * COUNT, 1);
    MemorySegment into = arena.allocate(2L * COUNT * SECTOR);
    int[] results = {-1, -1};
    ReadBatch batch = new ReadBatch();
    for (int read = 0; read < 2; read++) {
      int i = read;
      long offset = (long) i * COUNT * SECTOR;
      batch.add(offset, COUNT * SECTOR, into.address() + offset, errno -> results[i] = errno);
    }
    AtomicBoolean happened = new AtomicBoolean();
    region.beforeNextLoad(() -> {
      recycle();
      happened.set(true);
    });
    reader.readAll(batch);
    assertTrue(happened.get(), "nothing was copied out of the cache");
    for (int sector = 0; sector < 2 * COUNT; sector++) {
      assertEquals(0, results[sector / COUNT]);
      assertEquals(1, SectorModel.versionOf(into, (long) sector * SECTOR, sector));
    }
  }

  @Test
  void aReadThatFindsSomeOfItsBytesLooksAgain() {
    write(0, COUNT, 1);
    readWhile(0, 2 * COUNT, this::recycle, 1, 0);
  }

  @Test
  void aReadWhoseBytesAreWrittenMeanwhileFindsTheNewerOnes() {
    write(0, COUNT, 1);
    readWhile(
        0,
        COUNT,
        () -> {
          recycle();
          write(0, COUNT / 2, 2);
        },
        2,
        1);
  }
}
