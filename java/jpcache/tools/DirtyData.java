package jpcache.tools;

import java.util.OptionalLong;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;

/** How much of a cache the backing device does not have. */
public final class DirtyData {
  /** What an extent here has in place of its segment. */
  private static final int DIRTY = 0;

  private static final int CLEAN = 1;

  private DirtyData() {}

  /**
   * The bytes of the logical device that the newest of the key sets from dirty_tail on has written
   * and not merely read: what a clean key covers the backing device has. Of dirty_tail counts what
   * {@link DirtyPart} makes of it.
   *
   * @return none if it is not known which part of the log is dirty
   * @throws jpcache.media.MediaException if the log cannot be believed
   */
  public static OptionalLong bytes(CacheMedia media) {
    DirtyPart part = DirtyPart.of(media);
    return part.where() == DirtyPart.Where.IN_DOUBT
        ? OptionalLong.empty()
        : OptionalLong.of(bytesOf(part.mended()));
  }

  private static long bytesOf(CacheMedia media) {
    ExtentMap map = new ExtentMap(ExtentMap.MAX_LOGICAL_BYTES);
    ExtentList before = new ExtentList();
    LogReader reader = new LogReader(media, media.dirtyTail(), ExtentMap.MAX_LOGICAL_BYTES);
    long sectors = 0;
    while (reader.next()) {
      Kset kset = reader.kset();
      for (int key = 0; key < kset.keyCount(); key++) {
        if (kset.keyIsStale(key, media.segments().generation(kset.keySegment(key)))) {
          continue;
        }
        long offset = kset.keyOffset(key);
        Subtree subtree = map.subtree(offset);
        boolean clean = (kset.keyFlags(key) & Layout.KEY_FLAG_CLEAN) != 0;
        long extent = Extent.ofBytes(offset, kset.keyLength(key), clean ? CLEAN : DIRTY, 0);
        before.clear();
        subtree.overlaps(Extent.start(extent), Extent.end(extent), before);
        sectors += dirtySectors(extent);
        for (int i = 0; i < before.size(); i++) {
          sectors -= dirtySectors(before.get(i));
        }
        subtree.insert(extent);
      }
    }
    return sectors << Extent.SECTOR_SHIFT;
  }

  private static int dirtySectors(long extent) {
    return Extent.segment(extent) == DIRTY ? Extent.sectors(extent) : 0;
  }
}
