package jpcache.cache;

import java.util.Locale;
import jpcache.media.CacheInfo;
import jpcache.media.Position;
import jpcache.media.Superblock;

/**
 * What a cache says of itself, in the kernel's fields.
 *
 * @param segmentsUsed segments that hold ksets or live data, or are being filled
 */
public record CacheStatus(
    Superblock superblock,
    CacheInfo info,
    int segmentsUsed,
    Position keyHead,
    Position dirtyTail,
    Position keyTail) {

  /** The fields of {@code dmsetup status} behind the target's name. */
  public String kernelLine() {
    return String.format(
        Locale.ROOT,
        "%x %d %d %d %d %x %s %s %s",
        superblock.flags(),
        superblock.segments(),
        info.segments(),
        segmentsUsed,
        info.gcPercent(),
        info.flags(),
        keyHead,
        dirtyTail,
        keyTail);
  }
}
