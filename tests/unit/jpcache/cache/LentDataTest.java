package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.block.Loan;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a cache lends of its memory, and that it does not use that for anything else meanwhile. */
class LentDataTest {
  private static final int KIB = 1 << 10;
  private static final int MIB = 1 << 20;
  private static final int LOGICAL_BYTES = 64 * MIB;
  private static final int PENDING = -1;
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private final Arena arena = Arena.ofConfined();
  private final MemoryRegion region = new MemoryRegion(512L * MIB);
  private final MemorySegment buffer = arena.allocate(4 * MIB);
  private final Loan loan = new Loan();
  private Cache cache;
  private BlockQueue queue;

  @BeforeEach
  void open() {
    open(false);
  }

  private void open(boolean dataCrc) {
    MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, 70);
    MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1).withWriteBack(0, 0));
    queue = cache.openQueue();
  }

  @AfterEach
  void close() {
    queue.close();
    cache.close();
    region.close();
    arena.close();
  }

  private void write(long offset, int length, char fill) {
    buffer.asSlice(0, length).fill((byte) fill);
    int[] errno = {PENDING};
    queue.write(offset, length, buffer.address(), false, e -> errno[0] = e);
    queue.commit();
    assertEquals(0, errno[0]);
  }

  private void zero(long offset, int length) {
    int[] errno = {PENDING};
    queue.writeZeroes(offset, length, true, false, e -> errno[0] = e);
    queue.commit();
    assertEquals(0, errno[0]);
  }

  /** Whether the range was lent; its bytes are looked at then, and the loan ends. */
  private boolean lends(long offset, int length, String content) {
    if (!queue.lend(offset, length, loan)) {
      return false;
    }
    assertEquals(content, lent(length, content.length()));
    assertTrue(loan.copyTo(buffer.address()));
    assertEquals(-1, buffer.asSlice(0, length).mismatch(ALL.asSlice(loan.address(), length)));
    loan.end();
    return true;
  }

  /** The first letters of so many equal parts of what is lent. */
  private String lent(int length, int parts) {
    assertEquals(length, loan.lengthBytes());
    StringBuilder letters = new StringBuilder();
    for (int part = 0; part < parts; part++) {
      letters.append((char) ALL.get(JAVA_BYTE, loan.address() + (long) length / parts * part));
    }
    return letters.toString();
  }

  @Test
  void whatWasWrittenInOnePieceIsLentInWholeOrInPart() {
    write(MIB, 128 * KIB, 'x');
    assertTrue(lends(MIB, 128 * KIB, "xx"));
    assertTrue(lends(MIB + 512, 64 * KIB, "x"));
    assertEquals(2, cache.metrics().sum(CacheMetrics.Event.READ_HITS));
    assertEquals(192 * KIB, cache.metrics().sum(CacheMetrics.Event.READ_BYTES));
  }

  @Test
  void whatWasWrittenOneAfterTheOtherIsLentAsOnePiece() {
    write(0, 64 * KIB, 'x');
    write(64 * KIB, 64 * KIB, 'y');
    assertTrue(lends(0, 128 * KIB, "xy"));
    write(192 * KIB, 64 * KIB, 'z');
    write(128 * KIB, 64 * KIB, 'w');
    assertFalse(lends(128 * KIB, 128 * KIB, "wz"), "the wrong way round");
    write(16 * KIB, 4 * KIB, 'v');
    assertFalse(lends(0, 128 * KIB, "xy"), "there is something else between");
  }

  @Test
  void holesZerosAndRangesOfTwoSubtreesAreNotLent() {
    assertFalse(lends(0, 64 * KIB, ""));
    write(0, 64 * KIB, 'x');
    assertFalse(lends(0, 128 * KIB, ""), "the end is a hole");
    zero(MIB, MIB);
    assertFalse(lends(MIB, 128 * KIB, ""), "zeros need not be sent");
    write(4 * MIB - 64 * KIB, 128 * KIB, 'y');
    assertFalse(lends(4 * MIB - 64 * KIB, 128 * KIB, ""), "two subtrees");
  }

  @Test
  void whatHasAChecksumIsVerifiedAndNotLent() {
    queue.close();
    cache.close();
    open(true);
    write(0, 64 * KIB, 'x');
    assertFalse(lends(0, 64 * KIB, "x"));
  }

  @Test
  void whatIsLentStaysWhateverIsWrittenUntilTheLoanEnds() {
    cache.setGcPercent(0);
    write(0, 128 * KIB, 'x');
    assertTrue(queue.lend(0, 128 * KIB, loan));
    int segment = segmentOf(loan.address());
    long generation = cache.segments().generation(segment);
    long end = System.nanoTime() + 60_000_000_000L;
    for (int i = 0; i < 2 * cache.segments().count(); i++) {
      write(i % 8 * 4L * MIB, 4 * MIB - 2048, 'y');
      while (cache.maintenance().step(System.nanoTime()) == 0) {
        assertTrue(System.nanoTime() < end);
      }
    }
    assertEquals(generation, cache.segments().generation(segment));
    assertEquals("xxxx", lent(128 * KIB, 4));
    loan.end();
    assertEquals(generation + 1, cache.segments().generation(segment), "nobody else needs it");
  }

  @Test
  void whoWaitsForRoomIsToldThatALoanHasEnded() {
    write(0, 64 * KIB, 'x');
    assertTrue(queue.lend(0, 64 * KIB, loan));
    int segment = segmentOf(loan.address());
    loan.end();
    SegmentTable segments = cache.segments();
    int[] told = {0};
    LentSegments lender = new LentSegments(region, segments, () -> told[0]++);
    long generation = segments.generation(segment);
    long place = segments.dataOffset(segment);
    assertTrue(lender.lend(segment, generation, place, 64 * KIB, loan));
    assertEquals(0, told[0]);
    loan.end();
    assertEquals(1, told[0]);
    assertFalse(lender.lend(segment, generation + 1, place, 64 * KIB, loan), "recycled since");
  }

  private int segmentOf(long address) {
    int segment = 0;
    while (region.address() + cache.segments().dataOffset(segment) + 4 * MIB <= address) {
      segment++;
    }
    return segment;
  }
}
