package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Room for data, one piece at a time and ahead. */
class DataHeadTest {
  private static final int BLOCK = 4096;

  private final MemoryRegion region = new MemoryRegion(Layout.MIN_DEVICE_BYTES);
  private final SegmentTable table;
  private final DataHead head;
  private final DataHead.Room room = new DataHead.Room();
  private final DataHead.Ahead ahead = new DataHead.Ahead();

  DataHeadTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    int[] references = new int[media.segments().count()];
    table = new SegmentTable(media.segments(), metadata, references, () -> {});
    head = new DataHead(table);
  }

  @AfterEach
  void close() {
    region.close();
  }

  private void takeOne(int expectedOffset) {
    assertTrue(head.take(BLOCK, room));
    assertEquals(expectedOffset, room.offsetBytes);
  }

  private void takeOfAhead(int expectedOffset) {
    assertTrue(ahead.take(BLOCK, room));
    assertEquals(expectedOffset, room.offsetBytes);
    assertEquals(BLOCK, room.lengthBytes);
  }

  @Test
  void whatIsLeftOfRoomTakenAheadIsGivenBack() {
    takeOne(0);
    assertTrue(head.takeAhead(BLOCK, ahead));
    takeOfAhead(BLOCK);
    takeOfAhead(2 * BLOCK);
    ahead.giveBack();
    assertFalse(ahead.take(BLOCK, room));
    takeOne(3 * BLOCK);
  }

  @Test
  void roomTakenAheadEndsWithItsSegment() {
    assertTrue(head.take(Layout.SEGMENT_DATA_BYTES - 2 * BLOCK, room));
    assertTrue(head.takeAhead(BLOCK, ahead));
    takeOfAhead(Layout.SEGMENT_DATA_BYTES - 2 * BLOCK);
    takeOfAhead(Layout.SEGMENT_DATA_BYTES - BLOCK);
    assertFalse(ahead.take(BLOCK, room));
    ahead.giveBack();
    takeOne(0);
  }

  @Test
  void aPieceThatDoesNotFitTheSegmentIsNotTakenAhead() {
    assertTrue(head.take(Layout.SEGMENT_DATA_BYTES - BLOCK, room));
    assertFalse(head.takeAhead(2 * BLOCK, ahead));
    assertTrue(head.take(2 * BLOCK, room));
    assertEquals(BLOCK, room.lengthBytes, "the rest of the segment");
  }

  @Test
  void roomTakenAheadKeepsItsSegmentUntilItIsGivenBackAndItsPiecesReleased() {
    assertTrue(head.takeAhead(BLOCK, ahead));
    takeOfAhead(0);
    takeOfAhead(BLOCK);
    int segment = room.segment;
    assertTrue(head.takeAtBegin(BLOCK, room)); // the lane leaves the segment
    table.release(segment);
    table.release(segment);
    assertEquals(2, table.usedCount());
    ahead.giveBack();
    assertEquals(1, table.usedCount());
  }

  @Test
  void aPieceKeepsTheSegmentThatItWasTakenAheadIn() {
    assertTrue(head.takeAhead(BLOCK, ahead));
    takeOfAhead(0);
    int segment = room.segment;
    assertTrue(head.takeAtBegin(BLOCK, room));
    ahead.giveBack();
    assertEquals(2, table.usedCount());
    table.release(segment);
    assertEquals(1, table.usedCount());
  }

  /** With its pieces the segment may have gone, and be somebody else's. */
  @Test
  void roomAheadThatSmallestPiecesHaveUsedUpIsNoReferenceAnyMore() {
    assertTrue(head.take(Layout.SEGMENT_DATA_BYTES - Layout.SECTOR_BYTES, room));
    assertTrue(head.takeAhead(Layout.SECTOR_BYTES, ahead));
    assertTrue(ahead.take(Layout.SECTOR_BYTES, room));
    head.leaveIfFull();
    table.release(room.segment);
    table.release(room.segment);
    assertEquals(0, table.usedCount());
    ahead.giveBack();
    assertEquals(0, table.usedCount());
    assertEquals(1, table.generation(room.segment), "it was freed once");
  }

  @Test
  void whoLosesRoomToOthersTakesNoneAheadForAWhile() {
    assertTrue(head.takeAhead(BLOCK, ahead));
    takeOfAhead(0);
    assertTrue(head.take(BLOCK, room)); // another queue
    int behind = room.offsetBytes;
    ahead.giveBack();
    int alone = 0;
    while (!head.takeAhead(BLOCK, ahead)) {
      alone++;
      takeOne(behind + alone * BLOCK);
    }
    assertTrue(alone * BLOCK > 20 * (behind - BLOCK), "what is lost is a few percent");
  }

  /** So 3 segments of data fill 3, however they come, and the log has the fourth. */
  @Test
  void batchesOfAllSizesLeaveNoHoles() {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    int blocks = 3 * (Layout.SEGMENT_DATA_BYTES / BLOCK);
    MemoryBacking backing = new MemoryBacking(new byte[64 << 20]);
    CacheOptions options = CacheOptions.defaults().withLanes(1);
    try (Arena arena = Arena.ofConfined();
        Cache cache = Cache.open(region, backing, options);
        BlockQueue queue = cache.openQueue()) {
      long address = arena.allocate(BLOCK).address();
      for (int i = 0; i < blocks; i++) {
        queue.write((long) i * BLOCK, BLOCK, address, false, errno -> assertEquals(0, errno));
        if (random.nextInt(10) == 0) {
          queue.commit();
        }
      }
      queue.commit();
      assertEquals(4, cache.segments().usedCount());
    }
  }
}
