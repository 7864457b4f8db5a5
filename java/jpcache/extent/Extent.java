package jpcache.extent;

/**
 * An extent, packed into a long: some sectors of a 4 MiB subtree of the logical device, and where
 * in the cache their data is.
 *
 * <pre>
 *   63   62       50 49            37 36             17 16             2   1       0
 *   +---+-----------+----------------+-----------------+----------------+-------+-------+
 *   | 0 | start     | sectors - 1    | cache segment   | place          | whole | clean |
 *   +---+-----------+----------------+-----------------+----------------+-------+-------+
 *         13 bits     13 bits          20 bits           15 bits
 * </pre>
 *
 * Start is in sectors of 512 bytes from the subtree's begin, place in sectors from the begin of the
 * segment's data area. Extents compare as longs in the order of their starts.
 *
 * <p><em>Clean</em>: the backing device durably holds the same data. <em>Whole</em>: the extent is
 * all of the key that it came from, so that the key's data_crc is that of its data; set only where
 * such checksums are kept. Both are lost by whoever makes a new extent, and a part of an extent is
 * as clean as it was, but not whole.
 */
public final class Extent {
  public static final int SECTOR_SHIFT = 9;

  static final int SUBTREE_SECTORS_SHIFT = 13;

  /** Sectors of a subtree. */
  public static final int SUBTREE_SECTORS = 1 << SUBTREE_SECTORS_SHIFT;

  private static final long CLEAN = 1;
  private static final long WHOLE = 2;

  private static final int START_SHIFT = 50;
  private static final int SECTORS_SHIFT = 37;
  private static final int SEGMENT_SHIFT = 17;
  private static final int PLACE_SHIFT = 2;
  private static final int SECTORS_MASK = (1 << 13) - 1;
  private static final int SEGMENT_MASK = (1 << 20) - 1;
  private static final int PLACE_MASK = (1 << 15) - 1;

  private Extent() {}

  public static long of(int start, int sectors, int segment, int place) {
    return (long) start << START_SHIFT
        | (long) (sectors - 1) << SECTORS_SHIFT
        | (long) segment << SEGMENT_SHIFT
        | (long) place << PLACE_SHIFT;
  }

  /** The extent of a key: all in bytes, the offset that of the logical device. */
  public static long ofBytes(long offset, int length, int segment, int segmentOffset) {
    return of(
        sectorInSubtree(offset), length >>> SECTOR_SHIFT, segment, segmentOffset >>> SECTOR_SHIFT);
  }

  /** The sector of its subtree that a logical byte offset is in. */
  public static int sectorInSubtree(long offset) {
    return (int) (offset >>> SECTOR_SHIFT) & (SUBTREE_SECTORS - 1);
  }

  /** First sector, from the subtree's begin. */
  public static int start(long extent) {
    return (int) (extent >>> START_SHIFT);
  }

  /** The number of sectors, 1 or more. */
  public static int sectors(long extent) {
    return ((int) (extent >>> SECTORS_SHIFT) & SECTORS_MASK) + 1;
  }

  /** The sector behind the last one, from the subtree's begin. */
  public static int end(long extent) {
    return start(extent) + sectors(extent);
  }

  /** The cache segment that holds the data. */
  public static int segment(long extent) {
    return (int) (extent >>> SEGMENT_SHIFT) & SEGMENT_MASK;
  }

  /** Where in the segment's data area the data begins, in sectors. */
  public static int place(long extent) {
    return (int) (extent >>> PLACE_SHIFT) & PLACE_MASK;
  }

  /** Where it begins, in bytes from the subtree's begin. */
  public static long startBytes(long extent) {
    return (long) start(extent) << SECTOR_SHIFT;
  }

  public static long lengthBytes(long extent) {
    return (long) sectors(extent) << SECTOR_SHIFT;
  }

  /** Where in the segment's data area the data begins, in bytes. */
  public static long placeBytes(long extent) {
    return (long) place(extent) << SECTOR_SHIFT;
  }

  public static boolean isClean(long extent) {
    return (extent & CLEAN) != 0;
  }

  /** The same extent, known to be clean. */
  public static long clean(long extent) {
    return extent | CLEAN;
  }

  public static boolean isWhole(long extent) {
    return (extent & WHOLE) != 0;
  }

  /** The same extent, known to be all of a key. */
  static long whole(long extent) {
    return extent | WHOLE;
  }

  /** The part of an extent from {@code from} (inclusive) to {@code to} (exclusive), not empty. */
  public static long slice(long extent, int from, int to) {
    return of(from, to - from, segment(extent), place(extent) + (from - start(extent)))
        | (extent & CLEAN);
  }

  /** The part of an extent that lies in sectors {@code from} to {@code to}, where some of it is. */
  public static long clip(long extent, int from, int to) {
    int start = start(extent);
    int end = end(extent);
    return start >= from && end <= to
        ? extent
        : slice(extent, Math.max(start, from), Math.min(end, to));
  }

  /** Whether two extents are in the same place of a subtree. */
  static boolean sameSectors(long a, long b) {
    return (a ^ b) >>> SECTORS_SHIFT == 0;
  }

  /**
   * Whether two extents are parts of one: where both have a sector, they have it from one place.
   */
  public static boolean sameData(long a, long b) {
    return segment(a) == segment(b) && place(a) - start(a) == place(b) - start(b);
  }

  /** The greatest extent that starts at this sector, whatever else it says. */
  static long lastStartingAt(int start) {
    return ((start + 1L) << START_SHIFT) - 1;
  }
}
