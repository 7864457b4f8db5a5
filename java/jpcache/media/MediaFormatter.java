package jpcache.media;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.OptionalLong;
import jpcache.base.Crc32c;
import jpcache.base.Sizes;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/**
 * Makes an empty cache on a device, as the kernel does on one whose superblock magic is 0.
 *
 * <p>The order makes a cut-off format harmless: the old superblock's magic goes first, the new one
 * comes last, each in a store of its own that is durable before the next. So a device is either
 * what it was, not formatted, or a whole empty cache, and never one with a part of the old
 * metadata. What is not formatted after that is not all zeros either: {@link #contents} tells it,
 * so who repeats the format has to say that it may be thrown away.
 *
 * <p>Kernel counterpart: {@code cache_dev.c: sb_init}, {@code cache.c: cache_info_init}.
 */
public final class MediaFormatter {
  private static final int ZEROS_BYTES = 16384;

  /** Of each segment, what is formatted. */
  private static final int SEGMENT_HEAD_BYTES = Layout.SEGMENT_DATA_AT + Layout.KSET_HEADER_BYTES;

  private static final int BLOCK_BYTES = 4096;

  /** Where some file systems (btrfs) have their first superblock. */
  private static final long LATE_SUPERBLOCK_AT = 64 << 10;

  private MediaFormatter() {}

  /** Formats the whole device, without a label. */
  public static void format(PmemRegion region, boolean dataCrc, CacheMode mode, int gcPercent) {
    format(region, dataCrc, mode, gcPercent, null);
  }

  /**
   * Formats the whole device. What it held is lost. Durable when this returns.
   *
   * @param label names the backing device; null if that is not known
   * @throws MediaException if the device is too small for a cache
   */
  public static void format(
      PmemRegion region, boolean dataCrc, CacheMode mode, int gcPercent, @Nullable Label label) {
    checkSize(region.name(), region.sizeBytes());
    int segments = (int) Math.min(Layout.segmentsIn(region.sizeBytes()), Layout.MAX_SEGMENTS);
    Crc32c crc = new Crc32c();
    Superblock.erase(region);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment zeros = arena.allocate(ZEROS_BYTES);
      long metadataBytes = Layout.SEGMENTS_OFFSET - Layout.SUPERBLOCK_OFFSET;
      region.persist(Layout.SUPERBLOCK_OFFSET, zeros.address(), metadataBytes);
      for (int segment = 0; segment < segments; segment++) {
        // Segment info and control, and the first place of a log that may begin there: stale
        // replicas with a later seq, or stale ksets, would outlive the format.
        region.copy(Layout.segmentOffset(segment), zeros.address(), SEGMENT_HEAD_BYTES);
      }
      region.drain();
    }
    if (label == null) {
      Label.clear(region);
    } else {
      label.write(region);
    }
    SegmentList.write(region, segments, crc);
    Position start = new Position(0, 0);
    start.writeAsKeyTail(region, crc);
    start.writeAsDirtyTail(region, crc);
    new CacheInfo(0, segments, CacheInfo.flags(dataCrc, mode, gcPercent)).write(region, crc);
    new Superblock(0, segments).write(region, crc);
  }

  /**
   * Looks for anything that a format would destroy: what it writes over, and where else partitions
   * and file systems tell what they are, at 64 KiB and in the last block. A new file or device
   * reads as zeros there.
   *
   * @return the place of a byte that is not zero; empty if there is none
   * @throws jpcache.pmem.PoisonedMemoryException if some of it cannot be read
   */
  public static OptionalLong contents(MemorySegment view) {
    long deviceBytes = view.byteSize();
    long segments = Math.min(Layout.segmentsIn(deviceBytes), Layout.MAX_SEGMENTS);
    OptionalLong found = notZero(view, 0, Layout.SEGMENTS_OFFSET);
    for (int segment = 0; found.isEmpty() && segment < segments; segment++) {
      found = notZero(view, Layout.segmentOffset(segment), SEGMENT_HEAD_BYTES);
    }
    if (found.isEmpty()) {
      found = notZero(view, LATE_SUPERBLOCK_AT, BLOCK_BYTES);
    }
    return found.isEmpty()
        ? notZero(view, Math.max(0, deviceBytes - BLOCK_BYTES), BLOCK_BYTES)
        : found;
  }

  /** Of a range, as far as the device has it. */
  private static OptionalLong notZero(MemorySegment view, long offsetBytes, long lengthBytes) {
    long length = Math.min(lengthBytes, view.byteSize() - offsetBytes);
    if (length <= 0) {
      return OptionalLong.empty();
    }
    MemorySegment copy = MemorySegment.ofArray(new byte[(int) length]);
    PmemReads.copy(view, offsetBytes, copy, 0, length);
    long at = copy.mismatch(MemorySegment.ofArray(new byte[(int) length]));
    return at < 0 ? OptionalLong.empty() : OptionalLong.of(offsetBytes + at);
  }

  /**
   * Checks the size of a device that is to be formatted. What is beyond {@link Layout#MAX_SEGMENTS}
   * stays unused.
   *
   * @throws MediaException if it is too small for a cache
   */
  public static void checkSize(String device, long deviceBytes) {
    if (deviceBytes < Layout.MIN_DEVICE_BYTES) {
      throw tooSmall(deviceBytes).on(device);
    }
  }

  static MediaException tooSmall(long deviceBytes) {
    return MediaException.of(
        Kind.TOO_SMALL,
        "device size",
        0,
        Sizes.format(deviceBytes),
        "a cache device has at least " + Sizes.format(Layout.MIN_DEVICE_BYTES));
  }
}
