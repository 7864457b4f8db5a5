package jpcache.cache;

import java.lang.foreign.Arena;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;

/**
 * Segments are large and the log is small: unless it is moved, few tests would see it go on in
 * another segment, and none at every place from which it can.
 */
public final class EmptyLog {
  private EmptyLog() {}

  /**
   * Moves a log that holds nothing to so many bytes before the end of its segment, if it is not
   * there already. No engine runs.
   */
  public static void moveToTheEnd(PmemRegion region, int leftBytes) {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    Position at = media.keyTail();
    int offset = Layout.SEGMENT_DATA_BYTES - leftBytes;
    if (offset <= at.offsetBytes()) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      long place = media.segments().dataOffset(at.cacheSegment()) + offset;
      region.persist(place, arena.allocate(leftBytes).address(), leftBytes);
    }
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    metadata.keyTail(new Position(at.cacheSegment(), offset));
    metadata.dirtyTail(new Position(at.cacheSegment(), offset));
  }
}
