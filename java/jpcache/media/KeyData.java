package jpcache.media;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import jpcache.base.Crc32c;
import jpcache.pmem.PmemReads;

/**
 * Sums the data that keys point to, for whoever compares it with their data_crc.
 *
 * <p>The data is copied out of the media first, and what was summed last is not summed again: who
 * comes by segments that may have been recycled since says so ({@link #forget}). Used by one
 * thread.
 */
public final class KeyData {
  private final MemorySegment media;
  private final SegmentList segments;
  private final MemorySegment copy;
  private final ByteBuffer copyBytes;
  private final Crc32c crc = new Crc32c();

  // Many keys in a row may point to one range of zeros.
  private long lastOffset = -1;
  private int lastLength;
  private int lastCrc;

  /**
   * For the keys of a cache.
   *
   * @param arena owns a copy of the largest key's data
   */
  public KeyData(MemorySegment media, SegmentList segments, Arena arena) {
    this.media = media;
    this.segments = segments;
    copy = arena.allocate(Layout.SUBTREE_BYTES);
    copyBytes = copy.asByteBuffer();
  }

  /** Data may have changed: nothing that was summed before is of use any more. */
  public void forget() {
    lastOffset = -1;
  }

  /**
   * The checksum of a key's data as it is now.
   *
   * @throws jpcache.pmem.PoisonedMemoryException if it cannot be read
   */
  public int crc(Kset kset, int key) {
    return crc(kset.keySegment(key), kset.keySegmentOffset(key), kset.keyLength(key));
  }

  /**
   * The checksum of so many bytes of a segment's data area as they are now; at most a key's.
   *
   * @throws jpcache.pmem.PoisonedMemoryException if they cannot be read
   */
  public int crc(int segment, int segmentOffset, int length) {
    long offset = segments.dataOffset(segment) + segmentOffset;
    if (offset != lastOffset || length != lastLength) {
      forget();
      PmemReads.copy(media, offset, copy, 0, length);
      lastCrc = crc.of(copyBytes.clear().limit(length));
      lastOffset = offset;
      lastLength = length;
    }
    return lastCrc;
  }
}
