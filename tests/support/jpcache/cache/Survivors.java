package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import jpcache.tools.LogicalView;

/** What an independent reader finds in a cache and its backing device after the engine's end. */
final class Survivors {
  private Survivors() {}

  /**
   * Looks at some sectors: each must be one that the model allows, and stays so from now on.
   *
   * @param scratch room for them
   * @param lasts see {@link HistoryModel#restart}
   */
  static void check(
      HistoryWorld world,
      LogicalView view,
      int first,
      int count,
      MemorySegment scratch,
      boolean lasts) {
    HistoryModel model = world.model();
    view.read((long) first * SECTOR, scratch.asSlice(0, (long) count * SECTOR));
    for (int i = 0; i < count; i++) {
      int sector = first + i;
      long at = (long) i * SECTOR;
      int found = SectorModel.versionOf(scratch, at, sector);
      int write = model.survivor(sector, found);
      world.require(
          write != HistoryModel.NONE,
          () ->
              "sector "
                  + sector
                  + " is at "
                  + found
                  + ", "
                  + model.describe(sector)
                  + "; "
                  + SectorModel.describe(scratch, at));
      model.restart(sector, write, lasts);
    }
  }

  /**
   * Everything has been written back and flushed: the device alone holds what must survive.
   *
   * @param device its bytes
   */
  static void checkDeviceAlone(HistoryWorld world, MemorySegment device, int first, int count) {
    HistoryModel model = world.model();
    for (int sector = first; sector < first + count; sector++) {
      int s = sector;
      int found = SectorModel.versionOf(device, (long) s * SECTOR, s);
      world.require(
          model.survivor(s, found) != HistoryModel.NONE,
          () -> "sector " + s + " of the device is at " + found + ", " + model.describe(s));
    }
  }
}
