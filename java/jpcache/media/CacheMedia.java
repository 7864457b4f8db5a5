package jpcache.media;

import java.lang.foreign.MemorySegment;
import jpcache.base.Crc32c;

/**
 * A cache device whose metadata has been read and validated as a whole: superblock, cache info,
 * list of segments, tails. Immutable; what the device holds later is not seen.
 *
 * @param view the device's bytes, for reading
 * @param keyTail where the key log begins
 * @param dirtyTail where the part of it begins that has not been written back
 */
public record CacheMedia(
    MemorySegment view,
    Superblock superblock,
    CacheInfo info,
    SegmentList segments,
    Position keyTail,
    Position dirtyTail) {

  /**
   * Reads a device.
   *
   * @throws MediaException if it holds no cache, or one that cannot be believed
   */
  public static CacheMedia read(MemorySegment view) {
    Crc32c crc = new Crc32c();
    Superblock superblock = Superblock.read(view, crc);
    CacheInfo info = CacheInfo.read(view, superblock, crc);
    SegmentList segments = SegmentList.read(view, superblock, info, crc);
    return new CacheMedia(
        view,
        superblock,
        info,
        segments,
        Position.readKeyTail(view, info.segments(), crc),
        Position.readDirtyTail(view, info.segments(), crc));
  }

  /** Whether a device holds a cache, sound or not, or other data in its place. */
  public static boolean present(MemorySegment view) {
    return Superblock.present(view);
  }
}
