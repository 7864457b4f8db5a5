package jpcache.media;

import static jpcache.media.Layout.SB_CRC_AT;
import static jpcache.media.Layout.SB_FLAGS_AT;
import static jpcache.media.Layout.SB_FLAG_BIG_ENDIAN;
import static jpcache.media.Layout.SB_MAGIC_AT;
import static jpcache.media.Layout.SB_SEG_NUM_AT;
import static jpcache.media.Layout.SUPERBLOCK_BYTES;
import static jpcache.media.Layout.SUPERBLOCK_OFFSET;
import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U64;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HexFormat;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;

/**
 * The superblock: how many segments the device has been cut into.
 *
 * @param flags bit 0: big-endian media (which {@link #read} refuses)
 * @param segments the number of device segments, 1 to {@link Layout#MAX_SEGMENTS}
 */
public record Superblock(int flags, int segments) {

  /**
   * Reads and validates the superblock of a device.
   *
   * @throws MediaException if there is none, or it cannot be believed
   */
  public static Superblock read(MemorySegment media, Crc32c crc) {
    if (media.byteSize() < Layout.MIN_DEVICE_BYTES) {
      throw MediaFormatter.tooSmall(media.byteSize());
    }
    byte[] bytes = new byte[SUPERBLOCK_BYTES];
    MemorySegment sb = MemorySegment.ofArray(bytes);
    PmemReads.copy(media, SUPERBLOCK_OFFSET, sb, 0, SUPERBLOCK_BYTES);
    checkMagic(sb.get(U64, SB_MAGIC_AT));
    int flags = sb.get(U32, SB_FLAGS_AT);
    if ((flags & SB_FLAG_BIG_ENDIAN) != 0) {
      throw MediaException.of(
          Kind.BIG_ENDIAN,
          "superblock.flags",
          SUPERBLOCK_OFFSET,
          "0x" + HexFormat.of().toHexDigits(flags),
          "written by a big-endian machine, which only such a machine can open");
    }
    int expected = crc.of(bytes, Integer.BYTES, SUPERBLOCK_BYTES - Integer.BYTES);
    int actual = sb.get(U32, SB_CRC_AT);
    if (actual != expected) {
      throw MediaException.of(
          Kind.BAD_CHECKSUM,
          "superblock.crc",
          SUPERBLOCK_OFFSET,
          "0x" + HexFormat.of().toHexDigits(actual),
          "its contents give 0x" + HexFormat.of().toHexDigits(expected));
    }
    long segments = Integer.toUnsignedLong(sb.get(U32, SB_SEG_NUM_AT));
    long held = Layout.segmentsIn(media.byteSize());
    if (segments == 0 || segments > Layout.MAX_SEGMENTS || segments > held) {
      throw MediaException.outOfRange(
          "superblock.seg_num",
          SUPERBLOCK_OFFSET,
          segments,
          "the device holds 1 to " + Math.min(held, Layout.MAX_SEGMENTS) + " segments");
    }
    return new Superblock(flags, (int) segments);
  }

  private static void checkMagic(long magic) {
    if (magic == 0) {
      throw MediaException.of(
          Kind.NOT_FORMATTED,
          "superblock.magic",
          SUPERBLOCK_OFFSET,
          "0",
          "the device holds no cache; make one with `jpcache format`");
    }
    if (magic != Layout.SUPERBLOCK_MAGIC) {
      throw MediaException.of(
          Kind.BAD_MAGIC,
          "superblock.magic",
          SUPERBLOCK_OFFSET,
          "0x" + HexFormat.of().toHexDigits(magic),
          "not a dm-pcache device, which has 0x"
              + HexFormat.of().toHexDigits(Layout.SUPERBLOCK_MAGIC));
    }
  }

  /** Makes the device one that holds no cache. Durable when this returns. */
  static void erase(PmemRegion region) {
    writeMagic(region, 0);
  }

  /**
   * Writes the superblock: from its last store on, which is the magic's, the device holds a cache.
   * Durable when this returns. The device must have been {@link #erase erased}.
   */
  void write(PmemRegion region, Crc32c crc) {
    byte[] bytes = new byte[SUPERBLOCK_BYTES];
    MemorySegment sb = MemorySegment.ofArray(bytes);
    sb.set(U32, SB_FLAGS_AT, flags);
    sb.set(U64, SB_MAGIC_AT, Layout.SUPERBLOCK_MAGIC);
    sb.set(U32, SB_SEG_NUM_AT, segments);
    sb.set(U32, SB_CRC_AT, crc.of(bytes, Integer.BYTES, SUPERBLOCK_BYTES - Integer.BYTES));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(SUPERBLOCK_BYTES);
      copy.copyFrom(sb);
      copy.set(U64, SB_MAGIC_AT, 0);
      region.persist(SUPERBLOCK_OFFSET, copy.address(), SUPERBLOCK_BYTES);
    }
    writeMagic(region, Layout.SUPERBLOCK_MAGIC);
  }

  /** Eight aligned bytes: a power cut leaves the old ones or the new ones. */
  private static void writeMagic(PmemRegion region, long magic) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(Long.BYTES, Long.BYTES);
      bytes.set(U64, 0, magic);
      region.persist(SUPERBLOCK_OFFSET + SB_MAGIC_AT, bytes.address(), Long.BYTES);
    }
  }
}
