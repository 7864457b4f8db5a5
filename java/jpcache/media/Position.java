package jpcache.media;

import static jpcache.media.Layout.POSITION_SEG_ID_AT;
import static jpcache.media.Layout.POSITION_SEG_OFF_AT;
import static jpcache.media.Layout.U32;

import java.lang.foreign.MemorySegment;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemRegion;

/**
 * A place in the key log.
 *
 * @param cacheSegment index in the cache's list of segments
 * @param offsetBytes offset in that segment's data area
 */
public record Position(int cacheSegment, int offsetBytes) {

  /**
   * The oldest key set that is still needed.
   *
   * @throws MediaException if no replica is valid, or it lies outside of the segments
   */
  public static Position readKeyTail(MemorySegment media, int segments, Crc32c crc) {
    return read(ReplicatedSlot.keyTail(), media, segments, crc, "where the key log begins is lost");
  }

  /**
   * The oldest key set that has not been written back.
   *
   * @throws MediaException if no replica is valid, or it lies outside of the segments
   */
  public static Position readDirtyTail(MemorySegment media, int segments, Crc32c crc) {
    return read(
        ReplicatedSlot.dirtyTail(),
        media,
        segments,
        crc,
        "what has been written back is not known");
  }

  private static Position read(
      ReplicatedSlot slot, MemorySegment media, int segments, Crc32c crc, String loss) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.POSITION_BYTES]);
    if (!slot.read(media, bytes, crc)) {
      throw MediaException.of(
          Kind.NO_VALID_REPLICA,
          slot.structure() + ".crc",
          slot.offsetBytes(),
          "both replicas",
          "neither is valid; " + loss);
    }
    long segment = Integer.toUnsignedLong(bytes.get(U32, POSITION_SEG_ID_AT));
    if (segment >= segments) {
      throw MediaException.outOfRange(
          slot.structure() + ".cache_seg_id",
          slot.offsetBytes(),
          segment,
          "cache segments are below " + segments);
    }
    long offset = Integer.toUnsignedLong(bytes.get(U32, POSITION_SEG_OFF_AT));
    if (offset >= Layout.SEGMENT_DATA_BYTES) {
      throw MediaException.outOfRange(
          slot.structure() + ".seg_off",
          slot.offsetBytes(),
          offset,
          "a segment's data area has " + Layout.SEGMENT_DATA_BYTES + " bytes");
    }
    return new Position((int) segment, (int) offset);
  }

  void writeAsKeyTail(PmemRegion region, Crc32c crc) {
    write(ReplicatedSlot.keyTail(), region, crc);
  }

  void writeAsDirtyTail(PmemRegion region, Crc32c crc) {
    write(ReplicatedSlot.dirtyTail(), region, crc);
  }

  /** Durable when this returns. */
  private void write(ReplicatedSlot slot, PmemRegion region, Crc32c crc) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.POSITION_BYTES]);
    bytes.set(U32, POSITION_SEG_ID_AT, cacheSegment);
    bytes.set(U32, POSITION_SEG_OFF_AT, offsetBytes);
    slot.write(region, bytes, crc);
  }

  @Override
  public String toString() {
    return cacheSegment + ":" + offsetBytes;
  }
}
