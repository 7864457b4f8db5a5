package jpcache.tools;

import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.LogReader;

/** How much of a cache the backing device does not have. */
public final class DirtyData {
  private DirtyData() {}

  /**
   * The bytes of the logical device that key sets from dirty_tail on have written, each counted
   * once.
   *
   * @throws jpcache.media.MediaException if the log cannot be believed
   */
  public static long bytes(CacheMedia media) {
    ExtentMap map = new ExtentMap(ExtentMap.MAX_LOGICAL_BYTES);
    ExtentList before = new ExtentList();
    LogReader reader = new LogReader(media, media.dirtyTail(), ExtentMap.MAX_LOGICAL_BYTES);
    long sectors = 0;
    while (reader.next()) {
      Kset kset = reader.kset();
      for (int key = 0; key < kset.keyCount(); key++) {
        long offset = kset.keyOffset(key);
        Subtree subtree = map.subtree(offset);
        long extent = Extent.ofBytes(offset, kset.keyLength(key), 0, 0);
        before.clear();
        subtree.overlaps(Extent.start(extent), Extent.end(extent), before);
        sectors += Extent.sectors(extent);
        for (int i = 0; i < before.size(); i++) {
          sectors -= Extent.sectors(before.get(i));
        }
        subtree.insert(extent);
      }
    }
    return sectors << Extent.SECTOR_SHIFT;
  }
}
