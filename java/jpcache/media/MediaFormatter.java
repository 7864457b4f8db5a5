package jpcache.media;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jpcache.base.Crc32c;
import jpcache.base.Sizes;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/**
 * Makes an empty cache on a device, as the kernel does on one whose superblock magic is 0.
 *
 * <p>The order makes a cut-off format harmless: the old superblock's magic goes first, the new one
 * comes last, each in a store of its own that is durable before the next. So a device is either
 * what it was, not formatted, or a whole empty cache, and never one with a part of the old
 * metadata.
 *
 * <p>Kernel counterpart: {@code cache_dev.c: sb_init}, {@code cache.c: cache_info_init}.
 */
public final class MediaFormatter {
  private static final int ZEROS_BYTES = 16384;

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
        region.copy(
            Layout.segmentOffset(segment),
            zeros.address(),
            Layout.SEGMENT_DATA_AT + Layout.KSET_HEADER_BYTES);
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
