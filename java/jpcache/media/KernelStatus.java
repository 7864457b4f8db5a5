package jpcache.media;

import java.util.Locale;

/**
 * What the kernel's {@code dmsetup status} says of a cache.
 *
 * @param segmentsUsed segments that hold ksets or live data, or are being filled
 * @param keyHead where the key log ends
 */
public record KernelStatus(
    Superblock superblock,
    CacheInfo info,
    int segmentsUsed,
    Position keyHead,
    Position dirtyTail,
    Position keyTail) {

  /** The fields behind the target's name, in the kernel's order and bases. */
  public String line() {
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
