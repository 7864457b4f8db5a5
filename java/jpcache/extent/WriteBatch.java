package jpcache.extent;

import java.util.Arrays;
import java.util.BitSet;

/**
 * What a run of key sets has to bring to the backing device: of all their keys, in the order of the
 * log, the newest data of every byte, sorted by logical offset.
 *
 * <pre>
 *   keys, oldest first      AAAAAAAAAA      CCCC
 *                               BBB             DDDD
 *                               cc                          (clean: hides what is older)
 *   extents                 AA    BAAA      CCCCDDDD
 *   runs                    --    ----      --------
 * </pre>
 *
 * Extents whose logical bytes and whose data in the cache both adjoin are one, up to 1 MiB. A
 * <em>run</em> is a sequence of extents with no gap between them on the logical device: a writer
 * may gather it into one request.
 *
 * <p>Zeros are extents of their own: whoever can makes zeros without writing them.
 *
 * <p>Keys are taken as they come and planned all at once: they are sorted by their starts, and a
 * sweep over them keeps the keys that are open at its place in a heap, newest on top. O(n log n),
 * in primitive arrays that are used again for the next batch.
 *
 * <p>Lengths and offsets are in bytes and multiples of 512. Not thread-safe; a planned batch may be
 * read by several threads.
 *
 * <p>Kernel counterpart: {@code cache_writeback.c: cache_kset_insert_tree}.
 */
public final class WriteBatch {
  /** The most keys of a batch. */
  public static final int MAX_KEYS = 1 << 20;

  /**
   * Whoever fills a batch ends it with the key that brings its zeros to this: they cost a backing
   * device little, but not all of them nothing.
   */
  public static final long ZERO_BYTES_AT_ONCE = 4L << 30;

  private static final int KEY_BITS = 20;
  private static final int FIRST_CAPACITY = 1024;

  // In place of a segment, for keys whose data is not looked for in one.
  private static final int CLEAN = -1;
  private static final int ZEROS_UNMAPPED = -2;
  private static final int ZEROS_KEPT = -3;

  /** In a segment's number, which is shorter: its data is zeros. */
  private static final int ZERO_DATA = 1 << 30;

  /** Zeros that adjoin are one extent up to this. */
  private static final int MAX_ZEROS_BYTES = 1 << 30;

  /** And data up to this: a device is faster with several requests than with one that is longer. */
  static final int MAX_DATA_BYTES = 1 << 20;

  // The keys, in the order of the log.
  private int keys;
  private long[] keyOffsets = new long[FIRST_CAPACITY];
  private int[] keyLengths = new int[FIRST_CAPACITY];
  private int[] keySegments = new int[FIRST_CAPACITY];
  private int[] keyPlaces = new int[FIRST_CAPACITY];

  /** Start sector and number of each key, packed, so that sorting them sorts the keys. */
  private long[] order = new long[FIRST_CAPACITY];

  /** The sweep's heap of key numbers; the newest is the first. */
  private int[] heap = new int[FIRST_CAPACITY];

  private int heapSize;

  /** The keys that an extent has data of. */
  private final BitSet planned = new BitSet();

  // The extents, in the order of their offsets.
  private int extents;
  private long[] offsets = new long[FIRST_CAPACITY];
  private int[] lengths = new int[FIRST_CAPACITY];
  private int[] segments = new int[FIRST_CAPACITY];
  private int[] places = new int[FIRST_CAPACITY];
  private long bytes;
  private long zeroBytes;
  private long addedDataBytes;
  private long addedZeroBytes;

  /** Forgets all keys and extents. */
  public void clear() {
    keys = 0;
    extents = 0;
    bytes = 0;
    zeroBytes = 0;
    addedDataBytes = 0;
    addedZeroBytes = 0;
  }

  /** How many keys have been added. */
  public int keys() {
    return keys;
  }

  /**
   * Adds the next key of the log.
   *
   * @param segment the cache segment that holds its data
   * @param segmentOffsetBytes where in that segment's data area
   */
  public void add(long offsetBytes, int lengthBytes, int segment, int segmentOffsetBytes) {
    put(offsetBytes, lengthBytes, segment, segmentOffsetBytes);
    addedDataBytes += lengthBytes;
  }

  /** Adds the next key of the log, whose data is zeros, at a place of its own as other data. */
  public void addZeroData(long offsetBytes, int lengthBytes, int segment, int segmentOffsetBytes) {
    put(offsetBytes, lengthBytes, segment | ZERO_DATA, segmentOffsetBytes);
    addedZeroBytes += lengthBytes;
  }

  /**
   * Adds the next key of the log, whose data is zeros that others share.
   *
   * @param unmap whether the backing device may give up its space
   */
  public void addZeros(long offsetBytes, int lengthBytes, boolean unmap) {
    put(offsetBytes, lengthBytes, unmap ? ZEROS_UNMAPPED : ZEROS_KEPT, 0);
    addedZeroBytes += lengthBytes;
  }

  /** How many bytes the keys have that were added with their data. */
  public long addedDataBytes() {
    return addedDataBytes;
  }

  /** How many bytes the keys have that were added as zeros. */
  public long addedZeroBytes() {
    return addedZeroBytes;
  }

  /**
   * Adds the next key of the log, a clean one: the backing device has its data, so nothing older of
   * this batch must be written there any more.
   */
  public void addClean(long offsetBytes, int lengthBytes) {
    put(offsetBytes, lengthBytes, CLEAN, 0);
  }

  private void put(long offsetBytes, int lengthBytes, int segment, int place) {
    if (keys == MAX_KEYS || offsetBytes < 0 || offsetBytes > ExtentMap.MAX_LOGICAL_BYTES) {
      throw new IllegalArgumentException("key " + keys + " at " + offsetBytes);
    }
    if (keys == keyOffsets.length) {
      keyOffsets = Arrays.copyOf(keyOffsets, 2 * keys);
      keyLengths = Arrays.copyOf(keyLengths, 2 * keys);
      keySegments = Arrays.copyOf(keySegments, 2 * keys);
      keyPlaces = Arrays.copyOf(keyPlaces, 2 * keys);
      order = Arrays.copyOf(order, 2 * keys);
      heap = Arrays.copyOf(heap, 2 * keys);
    }
    keyOffsets[keys] = offsetBytes;
    keyLengths[keys] = lengthBytes;
    keySegments[keys] = segment;
    keyPlaces[keys] = place;
    order[keys] = offsetBytes >>> Extent.SECTOR_SHIFT << KEY_BITS | keys;
    keys++;
  }

  /**
   * From the next {@link #plan} on a key is as if it were clean: what it covers is not written, nor
   * is anything older there.
   */
  public void leaveOut(int key) {
    keySegments[key] = CLEAN;
  }

  /** Whether the plan has any of a key's data, and that has a place of its own. */
  public boolean isPlanned(int key) {
    return planned.get(key) && keySegments[key] >= 0;
  }

  /** Where on the logical device a key begins. */
  public long keyOffsetBytes(int key) {
    return keyOffsets[key];
  }

  public int keyLengthBytes(int key) {
    return keyLengths[key];
  }

  /** Whether a key has data at a place of its own. */
  public boolean keyHasPlace(int key) {
    return keySegments[key] >= 0;
  }

  /** The cache segment that holds the data of such a key. */
  public int keySegment(int key) {
    return keySegments[key] & ~ZERO_DATA;
  }

  /** Where in that segment's data area a key's data begins. */
  public int keySegmentOffsetBytes(int key) {
    return keyPlaces[key];
  }

  /** Finds the extents of the keys that were added. */
  public void plan() {
    planned.clear();
    extents = 0;
    bytes = 0;
    zeroBytes = 0;
    heapSize = 0;
    Arrays.sort(order, 0, keys);
    for (int i = 0; i < keys; i++) {
      int key = (int) order[i] & (MAX_KEYS - 1);
      if (i > 0) {
        sweep(start(i - 1), keyOffsets[key]);
      }
      push(key);
    }
    if (keys > 0) {
      sweep(start(keys - 1), Long.MAX_VALUE);
    }
  }

  private long start(int i) {
    return order[i] >>> KEY_BITS << Extent.SECTOR_SHIFT;
  }

  /** Gives the bytes from one place to another to the newest of the keys that are open there. */
  private void sweep(long from, long to) {
    long at = from;
    while (heapSize > 0) {
      int key = heap[0];
      long keyEnd = keyOffsets[key] + keyLengths[key];
      if (keyEnd <= at) {
        pop(); // at once, also at the end: keys that adjoin would pile up below newer ones
        continue;
      }
      if (at == to) {
        return;
      }
      long end = Math.min(keyEnd, to);
      if (keySegments[key] != CLEAN) {
        emit(key, at, end);
      }
      at = end;
    }
  }

  private void emit(int key, long from, long to) {
    planned.set(key);
    int length = (int) (to - from);
    int place = keyPlaces[key] + (int) (from - keyOffsets[key]);
    boolean shared = keySegments[key] < CLEAN;
    boolean zeros = shared || (keySegments[key] & ZERO_DATA) != 0;
    bytes += length;
    zeroBytes += zeros ? length : 0;
    int last = extents - 1;
    if (last >= 0
        && offsets[last] + lengths[last] == from
        && segments[last] == keySegments[key]
        && lengths[last] <= (shared ? MAX_ZEROS_BYTES : MAX_DATA_BYTES) - length
        && (shared || places[last] + lengths[last] == place)) {
      lengths[last] += length;
      return;
    }
    if (extents == offsets.length) {
      offsets = Arrays.copyOf(offsets, 2 * extents);
      lengths = Arrays.copyOf(lengths, 2 * extents);
      segments = Arrays.copyOf(segments, 2 * extents);
      places = Arrays.copyOf(places, 2 * extents);
    }
    offsets[extents] = from;
    lengths[extents] = length;
    segments[extents] = keySegments[key];
    places[extents] = place;
    extents++;
  }

  private void push(int key) {
    int at = heapSize++;
    while (at > 0 && heap[(at - 1) / 2] < key) {
      heap[at] = heap[(at - 1) / 2];
      at = (at - 1) / 2;
    }
    heap[at] = key;
  }

  private void pop() {
    int moved = heap[--heapSize];
    int at = 0;
    for (int child = 1; child < heapSize; child = 2 * at + 1) {
      if (child + 1 < heapSize && heap[child + 1] > heap[child]) {
        child++;
      }
      if (heap[child] <= moved) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moved;
  }

  /** How many extents the plan has. */
  public int extents() {
    return extents;
  }

  /** How many bytes they are together. */
  public long bytes() {
    return bytes;
  }

  /** How many of them are zeros. */
  public long zeroBytes() {
    return zeroBytes;
  }

  /** Whether an extent is zeros. */
  public boolean isZeros(int extent) {
    return segments[extent] < CLEAN || (segments[extent] & ZERO_DATA) != 0;
  }

  /** Whether an extent has data at a place of its own, be it zeros. */
  public boolean hasPlace(int extent) {
    return segments[extent] >= 0;
  }

  /** Whether the backing device may give up the space of an extent that is zeros. */
  public boolean mayUnmap(int extent) {
    return segments[extent] == ZEROS_UNMAPPED;
  }

  /** Where on the logical device an extent begins. */
  public long offsetBytes(int extent) {
    return offsets[extent];
  }

  /** At most a key of data, or keys that adjoin up to 1 MiB; or 1 GiB of zeros. */
  public int lengthBytes(int extent) {
    return lengths[extent];
  }

  /** The cache segment that holds an extent's data. */
  public int segment(int extent) {
    return segments[extent] & ~ZERO_DATA;
  }

  /** Where in that segment's data area the data begins. */
  public int segmentOffsetBytes(int extent) {
    return places[extent];
  }

  /** Behind the last extent of the run that {@code extent} is in. */
  public int runEnd(int extent) {
    int end = extent + 1;
    while (end < extents && offsets[end - 1] + lengths[end - 1] == offsets[end]) {
      end++;
    }
    return end;
  }
}
