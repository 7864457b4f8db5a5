package jpcache.cache;

import static jpcache.media.Layout.KSET_HEADER_BYTES;
import static jpcache.media.Layout.KSET_MAX_BYTES;
import static jpcache.media.Layout.SEGMENT_DATA_BYTES;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.media.Kset;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;

/**
 * The end of the key log: where closed ksets are written, one behind the other.
 *
 * <p>A reader takes the first place without a valid kset for the log's end. What stood in a segment
 * before must therefore never follow the newest kset, whatever part of the stores a power cut
 * keeps: the log is zeroed some way ahead of its head, and the zeros are durable <em>before</em>
 * the first kset that relies on them is written. (The kernel writes the zeros with the kset and no
 * fence between; a cut can then leave an old kset to be replayed.) Zeroing a stretch at a time
 * costs one fence for dozens of ksets.
 *
 * <p>Ksets reach durability in the order of their places, one at a time, under this object's
 * monitor: a durable kset behind one that is not would be out of replay's reach.
 *
 * <p>Room: {@link #reserve} promises it for keys that are not yet written; whoever inserts a key
 * into a tree has reserved first, so that no key which readers see can fail to reach the log.
 *
 * <p>Kernel counterpart: {@code cache_key.c: cache_kset_close}, {@code append_last_kset}.
 */
final class LogHead {
  private static final int ZERO_AHEAD_BYTES = 64 << 10;

  private static final MemorySegment ZEROS = Arena.global().allocate(ZERO_AHEAD_BYTES);

  /** The most that one key can take of the log: a kset of its own. */
  private static final int KEY_MAX_BYTES = Kset.sizeBytes(1);

  private final PmemRegion region;
  private final SegmentTable segments;
  private final Kset lastKset = new Kset();

  private int segment;
  private int offsetBytes;

  /**
   * Where the log is to go on, kept while the store that leads there fails: it may have reached the
   * media all the same.
   */
  private int nextSegment = SegmentTable.NONE;

  /** From the head to here the segment is durably zero. */
  private int zeroedEndBytes;

  private long reservedBytes;
  private long writtenDirtyBytes;
  private long ksets;

  LogHead(PmemRegion region, SegmentTable segments, Position head) {
    this.region = region;
    this.segments = segments;
    segment = head.cacheSegment();
    offsetBytes = head.offsetBytes();
    zeroedEndBytes = offsetBytes;
  }

  /** Where the log ends: every kset before this place is durable. */
  synchronized Position position() {
    return new Position(segment, offsetBytes);
  }

  /** How many ksets have been written. */
  synchronized long ksets() {
    return ksets;
  }

  /** How many bytes of dirty data the keys of all ksets written so far stand for. */
  synchronized long writtenDirtyBytes() {
    return writtenDirtyBytes;
  }

  /**
   * Reserves room for keys that will be written later.
   *
   * @return false if there is none: the cache is full
   */
  synchronized boolean reserve(int keys) {
    long wanted = reservedBytes + (long) keys * KEY_MAX_BYTES;
    // At the end of a segment up to a whole kset of room is lost, and a last kset needs its place.
    long usable = SEGMENT_DATA_BYTES - KSET_MAX_BYTES - KSET_HEADER_BYTES;
    long here = usable - offsetBytes;
    boolean canGoOn = nextSegment != SegmentTable.NONE || segments.hasRoomForLog();
    long next = canGoOn ? usable : 0;
    if (wanted > Math.max(here, next)) {
      return false;
    }
    reservedBytes = wanted;
    return true;
  }

  /** Gives up the room of keys that will not be written after all. */
  synchronized void release(int keys) {
    reservedBytes -= (long) keys * KEY_MAX_BYTES;
  }

  /**
   * Writes a sealed kset, whose keys had room reserved. Durable, and within replay's reach, when
   * this returns; if it throws, the log ends where it did, and the kset can be written again.
   *
   * @throws java.io.UncheckedIOException if it could not be stored
   * @param dirtyBytes how many bytes of dirty data its keys stand for
   */
  synchronized void write(Kset kset, long dirtyBytes) {
    int size = kset.sizeBytes();
    if (offsetBytes + size + KSET_HEADER_BYTES > SEGMENT_DATA_BYTES) {
      startNextSegment();
    }
    zeroUpTo(offsetBytes + size + KSET_HEADER_BYTES);
    int end = zeroedEndBytes;
    zeroedEndBytes = offsetBytes; // a store that fails may leave any part of the kset
    region.persist(segments.dataOffset(segment) + offsetBytes, kset.address(), size);
    zeroedEndBytes = end;
    offsetBytes += size;
    reservedBytes -= (long) kset.keyCount() * KEY_MAX_BYTES;
    writtenDirtyBytes += dirtyBytes;
    ksets++;
  }

  private void startNextSegment() {
    if (nextSegment == SegmentTable.NONE) {
      nextSegment = segments.takeForLog();
    }
    if (nextSegment == SegmentTable.NONE) {
      throw new IllegalStateException("key log: no segment left though room was reserved");
    }
    // The segment must read as an empty log before anything leads to it.
    region.persist(segments.dataOffset(nextSegment), ZEROS.address(), ZERO_AHEAD_BYTES);
    lastKset.sealAsLast(nextSegment);
    region.persist(
        segments.dataOffset(segment) + offsetBytes, lastKset.address(), KSET_HEADER_BYTES);
    segment = nextSegment;
    nextSegment = SegmentTable.NONE;
    offsetBytes = 0;
    zeroedEndBytes = ZERO_AHEAD_BYTES;
  }

  private void zeroUpTo(int endBytes) {
    while (zeroedEndBytes < endBytes) {
      int length = Math.min(ZERO_AHEAD_BYTES, SEGMENT_DATA_BYTES - zeroedEndBytes);
      region.persist(segments.dataOffset(segment) + zeroedEndBytes, ZEROS.address(), length);
      zeroedEndBytes += length;
    }
  }
}
