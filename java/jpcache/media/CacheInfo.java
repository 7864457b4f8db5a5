package jpcache.media;

import static jpcache.media.Layout.CACHE_INFO_FLAGS_AT;
import static jpcache.media.Layout.CACHE_INFO_N_SEGS_AT;
import static jpcache.media.Layout.CACHE_INFO_RESERVED_AT;
import static jpcache.media.Layout.CACHE_INFO_SEG_ID_AT;
import static jpcache.media.Layout.U32;

import java.lang.foreign.MemorySegment;
import java.util.HexFormat;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemRegion;

/**
 * The cache's own settings.
 *
 * @param firstSegment the device segment that is cache segment 0
 * @param segments how many segments the cache has
 * @param flags see {@link #flags(boolean, CacheMode, int)}
 */
public record CacheInfo(int firstSegment, int segments, int flags) {
  private static final int FLAG_DATA_CRC = 1;
  private static final int FLAG_INITIALISED = 1 << 1;
  private static final int MODE_SHIFT = 2;
  private static final int MODE_MASK = 0xF;
  private static final int GC_PERCENT_SHIFT = 6;
  private static final int GC_PERCENT_MASK = 0x7F;

  /** The kernel's limits and default. */
  public static final int GC_PERCENT_MAX = 90;

  public static final int GC_PERCENT_DEFAULT = 70;

  /**
   * The flags of a cache that has been initialised: bit 0 data crc, bit 1 initialised, bits 2..5
   * mode, bits 6..12 GC percent.
   */
  public static int flags(boolean dataCrc, CacheMode mode, int gcPercent) {
    return (dataCrc ? FLAG_DATA_CRC : 0)
        | FLAG_INITIALISED
        | mode.code() << MODE_SHIFT
        | gcPercent << GC_PERCENT_SHIFT;
  }

  /** Whether every key carries a checksum of its data. */
  public boolean dataCrc() {
    return (flags & FLAG_DATA_CRC) != 0;
  }

  public CacheMode mode() {
    return CacheMode.of((flags >>> MODE_SHIFT) & MODE_MASK);
  }

  /** The share of used segments, in percent, from which on garbage is collected. */
  public int gcPercent() {
    return (flags >>> GC_PERCENT_SHIFT) & GC_PERCENT_MASK;
  }

  /** The same with another GC percentage, 0 to {@link #GC_PERCENT_MAX}. */
  public CacheInfo withGcPercent(int percent) {
    int others = flags & ~(GC_PERCENT_MASK << GC_PERCENT_SHIFT);
    return new CacheInfo(firstSegment, segments, others | percent << GC_PERCENT_SHIFT);
  }

  /** The same in another mode. */
  public CacheInfo withMode(CacheMode mode) {
    int others = flags & ~(MODE_MASK << MODE_SHIFT);
    return new CacheInfo(firstSegment, segments, others | mode.code() << MODE_SHIFT);
  }

  /**
   * Reads and validates the cache info.
   *
   * @throws MediaException if no replica is valid, or a field cannot be believed
   */
  public static CacheInfo read(MemorySegment media, Superblock superblock, Crc32c crc) {
    ReplicatedSlot slot = ReplicatedSlot.cacheInfo();
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.CACHE_INFO_BYTES]);
    long at = slot.offsetBytes();
    if (!slot.read(media, bytes, crc)) {
      throw MediaException.of(
          Kind.NO_VALID_REPLICA,
          "cache_info.crc",
          at,
          "both replicas",
          "neither is valid; the cache's settings are lost or were never written");
    }
    int flags = bytes.get(U32, CACHE_INFO_FLAGS_AT);
    long segments = Integer.toUnsignedLong(bytes.get(U32, CACHE_INFO_N_SEGS_AT));
    if (segments == 0 || segments > superblock.segments()) {
      throw MediaException.outOfRange(
          "cache_info.n_segs", at, segments, "the superblock has 1 to " + superblock.segments());
    }
    long first = Integer.toUnsignedLong(bytes.get(U32, CACHE_INFO_SEG_ID_AT));
    if (first >= superblock.segments()) {
      throw MediaException.outOfRange(
          "cache_info.seg_id", at, first, "device segments are below " + superblock.segments());
    }
    CacheInfo info = new CacheInfo((int) first, (int) segments, flags);
    info.checkFlags(at);
    return info;
  }

  private void checkFlags(long at) {
    if ((flags & FLAG_INITIALISED) == 0) {
      throw MediaException.of(
          Kind.NOT_INITIALISED,
          "cache_info.flags",
          at,
          "0x" + HexFormat.of().toHexDigits(flags),
          "the cache's making was cut off; make it again with `jpcache format --force`");
    }
    int mode = (flags >>> MODE_SHIFT) & MODE_MASK;
    if (mode > CacheMode.WRITE_ONLY.code()) {
      throw MediaException.outOfRange(
          "cache_info.flags.mode", at, mode, "modes are 0 to " + CacheMode.WRITE_ONLY.code());
    }
    if (gcPercent() > GC_PERCENT_MAX) {
      throw MediaException.outOfRange(
          "cache_info.flags.gc_percent", at, gcPercent(), "may be 0 to " + GC_PERCENT_MAX);
    }
  }

  /** Writes the next version. Durable when this returns. */
  void write(PmemRegion region, Crc32c crc) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.CACHE_INFO_BYTES]);
    bytes.set(U32, CACHE_INFO_SEG_ID_AT, firstSegment);
    bytes.set(U32, CACHE_INFO_N_SEGS_AT, segments);
    bytes.set(U32, CACHE_INFO_FLAGS_AT, flags);
    bytes.set(U32, CACHE_INFO_RESERVED_AT, 0);
    ReplicatedSlot.cacheInfo().write(region, bytes, crc);
  }
}
