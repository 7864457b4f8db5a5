package jpcache.media;

import java.lang.foreign.MemorySegment;
import jpcache.base.Crc32c;

/**
 * A cache device whose metadata has been read and validated as a whole: superblock, cache info,
 * list of segments, tails. Immutable; what the device holds later is not seen.
 *
 * @param device how users call the device
 * @param view its bytes, for reading
 * @param keyTail where the key log begins
 * @param dirtyTail where the part of it begins that has not been written back
 */
public record CacheMedia(
    String device,
    MemorySegment view,
    Superblock superblock,
    CacheInfo info,
    SegmentList segments,
    Position keyTail,
    Position dirtyTail) {

  /**
   * Reads a device.
   *
   * @param device how users call it; failures begin with it
   * @throws MediaException if it holds no cache, or one that cannot be believed
   */
  public static CacheMedia read(String device, MemorySegment view) {
    try {
      return readUnnamed(device, view);
    } catch (MediaException e) {
      throw e.on(device);
    }
  }

  private static CacheMedia readUnnamed(String device, MemorySegment view) {
    Crc32c crc = new Crc32c();
    Superblock superblock = Superblock.read(view, crc);
    CacheInfo info = CacheInfo.read(view, superblock, crc);
    SegmentList segments = SegmentList.read(view, superblock, info, crc);
    return new CacheMedia(
        device,
        view,
        superblock,
        info,
        segments,
        Position.readKeyTail(view, info.segments(), crc),
        dirtyTail(view, info.segments(), crc));
  }

  private static Position dirtyTail(MemorySegment view, int segments, Crc32c crc) {
    try {
      return Position.readDirtyTail(view, segments, crc);
    } catch (MediaException e) {
      throw e.advising("`jpcache fsck --repair` sets it to key_tail");
    }
  }

  /** The same with other tails. */
  public CacheMedia withTails(Position newKeyTail, Position newDirtyTail) {
    return new CacheMedia(device, view, superblock, info, segments, newKeyTail, newDirtyTail);
  }
}
