package jpcache.media;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;

/**
 * The zeros that the keys of all zeroed ranges point to: one extent of them at the begin of a data
 * segment.
 *
 * <pre>
 *   data area
 *   0          512         1024                              4 MiB + 1024
 *   +----------+-----------+--------------------------------+-------------
 *   | mark     | zeros                                      | other data
 *   +----------+-----------+--------------------------------+-------------
 *              |           '-- keys begin here whose range keeps its space below,
 *              '-- and here those whose range gives it up
 * </pre>
 *
 * <p>The format knows nothing of it and need not: many keys may point to the same data, and whoever
 * follows them finds zeros. The mark is for us: after a restart it tells zeroed ranges from zeros
 * that were written, and the extent can be used on. It is not to be believed without a look at the
 * zeros, since clients can write it too; nor where the data of a live key lies in the extent and
 * begins at neither of the two places, since then a client has written the zeros as well.
 *
 * <p>An object looks at each segment once, so it is for media whose segments are not recycled
 * meanwhile, and for one thread.
 */
public final class SharedZeros {
  /** Where the keys of ranges begin that give up their space. */
  public static final int UNMAPPED_AT = Layout.SECTOR_BYTES;

  /** Where the keys of ranges begin that keep it. */
  public static final int KEPT_AT = 2 * Layout.SECTOR_BYTES;

  /** Data from this size on is worth a look whether it is all zeros. */
  private static final int MIN_LOOK_BYTES = 64 << 10;

  /** The extent's size, with its mark. */
  public static final int SIZE_BYTES = KEPT_AT + Layout.SUBTREE_BYTES;

  private static final int CHUNK_BYTES = 64 << 10;
  private static final MemorySegment ZEROS = Arena.global().allocate(CHUNK_BYTES, 64);
  private static final MemorySegment MARK = mark();

  private final MemorySegment media;
  private final SegmentList segments;
  private final BitSet lookedAt = new BitSet();
  private final BitSet found = new BitSet();

  public SharedZeros(MemorySegment media, SegmentList segments) {
    this(media, segments, new BitSet());
  }

  /**
   * For media of which some segments need no look.
   *
   * @param others those that begin with other data, whatever that looks like
   */
  public SharedZeros(MemorySegment media, SegmentList segments, BitSet others) {
    this.media = media;
    this.segments = segments;
    lookedAt.or(others);
  }

  private static MemorySegment mark() {
    byte[] text = "jpcache: zeros\n".getBytes(StandardCharsets.US_ASCII);
    MemorySegment mark = Arena.global().allocate(UNMAPPED_AT, 64);
    MemorySegment.copy(MemorySegment.ofArray(text), 0, mark, 0, text.length);
    return mark;
  }

  /** Makes an extent at the begin of a segment's data area. Durable when this returns. */
  public static void write(PmemRegion region, long dataOffsetBytes) {
    region.copy(dataOffsetBytes, MARK.address(), UNMAPPED_AT);
    for (int at = UNMAPPED_AT; at < SIZE_BYTES; at += CHUNK_BYTES) {
      region.copy(dataOffsetBytes + at, ZEROS.address(), Math.min(CHUNK_BYTES, SIZE_BYTES - at));
    }
    region.drain();
  }

  /** Whether the data of a zeroed range may begin there; whether it does, the segment tells. */
  public static boolean canBeginAt(int segmentOffsetBytes) {
    return segmentOffsetBytes == UNMAPPED_AT || segmentOffsetBytes == KEPT_AT;
  }

  /** Whether a live key with data there proves that its segment does not begin with such zeros. */
  public static boolean isExcludedBy(int segmentOffsetBytes) {
    return segmentOffsetBytes < SIZE_BYTES && !canBeginAt(segmentOffsetBytes);
  }

  /** Whether a key is that of a zeroed range, by the place of its data. */
  public boolean holds(int segment, int segmentOffsetBytes) {
    return canBeginAt(segmentOffsetBytes) && isIn(segment);
  }

  /** Whether a segment begins with such an extent. */
  private boolean isIn(int segment) {
    if (!lookedAt.get(segment)) {
      lookedAt.set(segment);
      found.set(segment, look(segments.dataOffset(segment)));
    }
    return found.get(segment);
  }

  /** The segments that have been found to begin with such an extent, so far. */
  public BitSet found() {
    return (BitSet) found.clone();
  }

  private boolean look(long dataOffset) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mark = arena.allocate(UNMAPPED_AT);
      PmemReads.copy(media, dataOffset, mark, 0, UNMAPPED_AT);
      return mark.mismatch(MARK) < 0
          && allZero(media, dataOffset + UNMAPPED_AT, SIZE_BYTES - UNMAPPED_AT);
    } catch (PoisonedMemoryException e) {
      return false;
    }
  }

  /**
   * Whether data of the media is all zeros, and so much that it is worth to make them below instead
   * of writing them. A few bytes tell it of most data. What cannot be read is not zeros.
   */
  public static boolean areMuch(MemorySegment media, long offsetBytes, int lengthBytes) {
    try {
      return lengthBytes >= MIN_LOOK_BYTES && allZero(media, offsetBytes, lengthBytes);
    } catch (PoisonedMemoryException e) {
      return false; // whoever has to write it meets this again
    }
  }

  private static boolean allZero(MemorySegment media, long offsetBytes, long lengthBytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(Math.min(lengthBytes, CHUNK_BYTES));
      long chunk = Math.min(lengthBytes, Layout.SECTOR_BYTES);
      for (long at = 0; at < lengthBytes; at += chunk) {
        chunk = Math.min(lengthBytes - at, at == 0 ? chunk : CHUNK_BYTES);
        PmemReads.copy(media, offsetBytes + at, copy, 0, chunk);
        if (MemorySegment.mismatch(copy, 0, chunk, ZEROS, 0, chunk) >= 0) {
          return false;
        }
      }
      return true;
    }
  }
}
