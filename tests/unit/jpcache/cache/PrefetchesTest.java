package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;

import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** How ranges that are asked for early share what there is, and when they are left. */
class PrefetchesTest {
  private static final int PENDING = -1;
  private static final int MIB = 1 << 20;

  /** So many are under way at once, of so much each. */
  private static final int REQUESTS = 8;

  private static final int REQUEST_BYTES = 256 << 10;

  private final MemoryBacking backing = new MemoryBacking(new byte[64 * MIB]);
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final Cache cache;
  private final BlockQueue queue;
  private final BlockQueue other;
  private final int[] errno = {PENDING};
  private final int[] othersErrno = {PENDING};

  PrefetchesTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
    queue = cache.openQueue();
    other = cache.openQueue();
  }

  @AfterEach
  void close() {
    queue.close();
    other.close();
    region.close();
  }

  @Test
  void aLongRangeDoesNotKeepAShortOneWaiting() {
    backing.hold();
    queue.prefetch(0, 32 * MIB, e -> errno[0] = e);
    int[] readsByThen = {0};
    other.prefetch(
        32 * MIB,
        MIB,
        e -> {
          othersErrno[0] = e;
          readsByThen[0] = backing.reads();
        });
    backing.release();
    assertEquals(0, othersErrno[0]);
    assertEquals(REQUESTS + 2 * (MIB / REQUEST_BYTES), readsByThen[0], "read in turn");
    assertEquals(0, errno[0]);
  }

  @Test
  void aQueueThatClosesLeavesWhatHasNotBegunOfItsRanges() {
    backing.hold();
    queue.prefetch(0, 32 * MIB, e -> errno[0] = e);
    other.prefetch(32 * MIB, MIB, e -> othersErrno[0] = e);
    queue.close();
    assertEquals(PENDING, errno[0], "reads are under way");
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals(0, othersErrno[0]);
    assertEquals(REQUESTS + MIB / REQUEST_BYTES, backing.reads());
  }

  @Test
  void aRangeOfWhichNothingIsUnderWayIsDoneAtOnce() {
    backing.hold();
    queue.prefetch(0, 32 * MIB, e -> errno[0] = e);
    other.prefetch(32 * MIB, MIB, e -> othersErrno[0] = e);
    other.abandonPrefetches();
    assertEquals(0, othersErrno[0]);
    backing.release();
    assertEquals(32 * MIB / REQUEST_BYTES, backing.reads(), "the others' are not touched");
  }

  @Test
  void aCacheThatStopsLeavesThemAllAndThoseToCome() {
    backing.hold();
    queue.prefetch(0, 32 * MIB, e -> errno[0] = e);
    cache.stopWaiting();
    other.prefetch(32 * MIB, MIB, e -> othersErrno[0] = e);
    assertEquals(0, othersErrno[0]);
    backing.release();
    assertEquals(0, errno[0]);
    assertEquals(REQUESTS, backing.reads());
  }

  @Test
  void aRangeThatWasLeftStillTellsTheErrorOfWhatWasUnderWay() {
    backing.failReads(Errno.EIO);
    backing.hold();
    queue.prefetch(0, 32 * MIB, e -> errno[0] = e);
    queue.abandonPrefetches();
    backing.release();
    assertEquals(Errno.EIO, errno[0]);
  }
}
