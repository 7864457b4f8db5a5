package jpcache.media;

import static jpcache.media.Layout.GENERATION_GEN_AT;
import static jpcache.media.Layout.SEGMENT_INFO_FLAGS_AT;
import static jpcache.media.Layout.SEGMENT_INFO_FLAG_HAS_NEXT;
import static jpcache.media.Layout.SEGMENT_INFO_NEXT_AT;
import static jpcache.media.Layout.SEGMENT_INFO_TYPE_CACHE_DATA;
import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U64;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemRegion;

/**
 * The cache's segments in the order of their list: "cache segment i" is the i-th of it, wherever on
 * the device it lies. Immutable.
 *
 * <p>Kernel counterpart: {@code cache_segment.c: cache_seg_info_load}, {@code cache_seg_gen_load}.
 */
public final class SegmentList {
  private static final int TYPE_MASK = 0xF << 1;

  private final int[] deviceSegments;
  private final long[] generations;

  private SegmentList(int[] deviceSegments, long[] generations) {
    this.deviceSegments = deviceSegments;
    this.generations = generations;
  }

  /**
   * Walks the list.
   *
   * @throws MediaException if it leaves the device, repeats a segment or ends early
   */
  public static SegmentList read(
      MemorySegment media, Superblock superblock, CacheInfo info, Crc32c crc) {
    int[] list = new int[info.segments()];
    long[] generations = new long[info.segments()];
    BitSet seen = new BitSet(superblock.segments());
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.SEGMENT_INFO_BYTES]);
    int segment = info.firstSegment();
    for (int i = 0; i < list.length; i++) {
      seen.set(segment);
      list[i] = segment;
      boolean last = i == list.length - 1;
      int next = readNext(media, segment, last, bytes, superblock.segments(), crc);
      if (!last && seen.get(next)) {
        throw MediaException.of(
            Kind.CYCLE,
            "segment_info.next_seg",
            Layout.segmentOffset(segment),
            Integer.toString(next),
            "the list of segments comes back to a segment that it has had");
      }
      generations[i] = readGeneration(media, segment, bytes, crc);
      segment = next;
    }
    return new SegmentList(list, generations);
  }

  private static int readNext(
      MemorySegment media, int segment, boolean last, MemorySegment bytes, int total, Crc32c crc) {
    ReplicatedSlot slot = ReplicatedSlot.segmentInfo(segment);
    long at = slot.offsetBytes();
    if (!slot.read(media, bytes, crc)) {
      throw MediaException.of(
          Kind.NO_VALID_REPLICA,
          "segment_info.crc",
          at,
          "both replicas of device segment " + segment,
          "neither is valid");
    }
    int flags = bytes.get(U32, SEGMENT_INFO_FLAGS_AT);
    if ((flags & TYPE_MASK) != SEGMENT_INFO_TYPE_CACHE_DATA) {
      throw MediaException.outOfRange(
          "segment_info.flags.type", at, (flags & TYPE_MASK) >>> 1, "1 (cache data) is known");
    }
    if (last) {
      return -1;
    }
    if ((flags & SEGMENT_INFO_FLAG_HAS_NEXT) == 0) {
      throw MediaException.of(
          Kind.ENDS_EARLY,
          "segment_info.flags",
          at,
          Integer.toUnsignedString(flags),
          "the list of segments ends before it has as many as cache_info.n_segs says");
    }
    long next = Integer.toUnsignedLong(bytes.get(U32, SEGMENT_INFO_NEXT_AT));
    if (next >= total) {
      throw MediaException.outOfRange(
          "segment_info.next_seg", at, next, "device segments are below " + total);
    }
    return (int) next;
  }

  private static long readGeneration(
      MemorySegment media, int segment, MemorySegment bytes, Crc32c crc) {
    return ReplicatedSlot.generation(segment).read(media, bytes, crc)
        ? bytes.get(U64, GENERATION_GEN_AT)
        : 0;
  }

  /**
   * Chains device segments 0 .. count-1 to a list, generation 0 each. Durable when this returns.
   */
  static void write(PmemRegion region, int count, Crc32c crc) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.SEGMENT_INFO_BYTES]);
    for (int segment = 0; segment < count; segment++) {
      boolean last = segment == count - 1;
      bytes.set(
          U32,
          SEGMENT_INFO_FLAGS_AT,
          SEGMENT_INFO_TYPE_CACHE_DATA | (last ? 0 : SEGMENT_INFO_FLAG_HAS_NEXT));
      bytes.set(U32, SEGMENT_INFO_NEXT_AT, last ? 0 : segment + 1);
      ReplicatedSlot.segmentInfo(segment).write(region, bytes, crc);

      writeGeneration(region, segment, 0, crc);
    }
  }

  /** Writes the next version of a device segment's generation. Durable when this returns. */
  static void writeGeneration(PmemRegion region, int deviceSegment, long generation, Crc32c crc) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.GENERATION_BYTES]);
    bytes.set(U64, GENERATION_GEN_AT, generation);
    ReplicatedSlot.generation(deviceSegment).write(region, bytes, crc);
  }

  public int count() {
    return deviceSegments.length;
  }

  /** The device segment that a cache segment is. */
  public int deviceSegment(int cacheSegment) {
    return deviceSegments[cacheSegment];
  }

  /** A cache segment's generation, unsigned. */
  public long generation(int cacheSegment) {
    return generations[cacheSegment];
  }

  /** Where a cache segment's data area begins on the device. */
  public long dataOffset(int cacheSegment) {
    return Layout.dataOffset(deviceSegments[cacheSegment]);
  }
}
