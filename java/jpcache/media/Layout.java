package jpcache.media;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Where everything is on a cache device: every offset, size, magic and limit of the format, once.
 *
 * <pre>
 *   0        4 KiB      8 KiB         16 KiB          20 KiB
 *   +--------+----------+-------------+---------------+-----------+-----------+--
 *   | label  | super-   | cache info, | cache control | segment 0 | segment 1 | ...
 *   |        | block    | 2 replicas  | (tails)       |  16 MiB   |  16 MiB   |
 *   +--------+----------+-------------+---------------+-----------+-----------+--
 *
 *   a segment:
 *   0                8 KiB                  12 KiB                        16 MiB
 *   +----------------+----------------------+-----------------------------+
 *   | segment info,  | segment control:     | data area: cached data, or  |
 *   | 2 replicas     | 2 generations        | key sets (the log)          |
 *   +----------------+----------------------+-----------------------------+
 * </pre>
 *
 * <p>All numbers are little-endian. Offsets are in bytes; {@code *_AT} constants are offsets inside
 * their structure, the others are offsets on the device unless their name says otherwise.
 *
 * <p>Kernel counterpart: {@code drivers/md/dm-pcache/pcache_internal.h}, {@code segment.h}, {@code
 * cache.h}.
 */
public final class Layout {
  static final ValueLayout.OfByte U8 = ValueLayout.JAVA_BYTE;
  static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Every logical offset, length and place of data is a multiple of this. */
  public static final int SECTOR_BYTES = 512;

  /** Distance between the replicas of cache info and of segment info. */
  static final int REPLICA_STRIDE_BYTES = 4096;

  // ---- device ----

  public static final long SUPERBLOCK_OFFSET = 4096;
  static final long CACHE_INFO_OFFSET = 8192;
  static final long CACHE_CONTROL_OFFSET = 16384;
  public static final long SEGMENTS_OFFSET = 20480;
  public static final long SEGMENT_BYTES = 16L << 20;

  /** The smallest cache device. */
  public static final long MIN_DEVICE_BYTES = 512L << 20;

  /** The most segments (16 TiB of cache). */
  public static final int MAX_SEGMENTS = 1 << 20;

  // ---- superblock ----

  public static final int SUPERBLOCK_BYTES = 24;
  public static final long SUPERBLOCK_MAGIC = 0x65B05EFA96C596EFL;
  public static final int SB_CRC_AT = 0;
  public static final int SB_FLAGS_AT = 4;
  public static final int SB_MAGIC_AT = 8;
  public static final int SB_SEG_NUM_AT = 16;
  public static final int SB_FLAG_BIG_ENDIAN = 1;

  // ---- header of a replicated structure ----

  public static final int META_HEADER_BYTES = 8;
  public static final int META_CRC_AT = 0;
  public static final int META_SEQ_AT = 4;
  public static final int META_VERSION_AT = 5;
  public static final int META_RESERVED_AT = 6;

  // ---- cache info ----

  public static final int CACHE_INFO_BYTES = 24;
  public static final int CACHE_INFO_SEG_ID_AT = 8;
  public static final int CACHE_INFO_N_SEGS_AT = 12;
  public static final int CACHE_INFO_FLAGS_AT = 16;
  public static final int CACHE_INFO_RESERVED_AT = 20;

  // ---- positions, in cache control ----

  public static final int POSITION_BYTES = 16;
  public static final int POSITION_SEG_ID_AT = 8;
  public static final int POSITION_SEG_OFF_AT = 12;
  static final long KEY_TAIL_OFFSET = CACHE_CONTROL_OFFSET;
  static final long DIRTY_TAIL_OFFSET = CACHE_CONTROL_OFFSET + 2 * POSITION_BYTES;

  // ---- segment ----

  public static final int SEGMENT_INFO_BYTES = 16;
  public static final int SEGMENT_INFO_FLAGS_AT = 8;
  public static final int SEGMENT_INFO_NEXT_AT = 12;
  public static final int SEGMENT_INFO_FLAG_HAS_NEXT = 1;

  /** Bits 1..4 of the flags: 1 means cache data. */
  public static final int SEGMENT_INFO_TYPE_CACHE_DATA = 1 << 1;

  static final int SEGMENT_CONTROL_AT = 8192;
  public static final int GENERATION_BYTES = 16;
  public static final int GENERATION_GEN_AT = 8;

  static final int SEGMENT_DATA_AT = 12288;

  /** Size of a segment's data area. */
  public static final int SEGMENT_DATA_BYTES = (int) SEGMENT_BYTES - SEGMENT_DATA_AT;

  // ---- key sets ----

  public static final long KSET_MAGIC = 0x676894A64E164F1AL;
  public static final int KSET_HEADER_BYTES = 24;
  public static final int KSET_CRC_AT = 0;

  /** The number of keys; in a last kset the next cache segment. */
  public static final int KSET_KEY_NUM_AT = 4;

  public static final int KSET_MAGIC_AT = 8;
  public static final int KSET_FLAGS_AT = 16;
  public static final int KSET_FLAG_LAST = 1;
  public static final int KSET_MAX_KEYS = 128;

  public static final int KEY_BYTES = 40;
  public static final int KEY_OFF_AT = 0;
  public static final int KEY_LEN_AT = 8;
  public static final int KEY_FLAGS_AT = 12;
  public static final int KEY_SEG_ID_AT = 16;
  public static final int KEY_SEG_OFF_AT = 20;
  public static final int KEY_SEG_GEN_AT = 24;
  public static final int KEY_DATA_CRC_AT = 32;
  public static final int KEY_RESERVED_AT = 36;

  /** In memory only; never on media. */
  public static final int KEY_FLAG_EMPTY = 1;

  /** The backing device holds the same data. */
  public static final int KEY_FLAG_CLEAN = 1 << 1;

  public static final int KSET_MAX_BYTES = KSET_HEADER_BYTES + KSET_MAX_KEYS * KEY_BYTES;

  /** Keys never cross a multiple of this on the logical device. */
  public static final int SUBTREE_BYTES = 4 << 20;

  private Layout() {}

  /** How many segments a device of this size holds. */
  public static long segmentsIn(long deviceBytes) {
    return Math.max(0, deviceBytes - SEGMENTS_OFFSET) / SEGMENT_BYTES;
  }

  /** Where a device segment begins. */
  static long segmentOffset(int deviceSegment) {
    return SEGMENTS_OFFSET + deviceSegment * SEGMENT_BYTES;
  }

  /** Where a device segment's data area begins. */
  static long dataOffset(int deviceSegment) {
    return segmentOffset(deviceSegment) + SEGMENT_DATA_AT;
  }
}
