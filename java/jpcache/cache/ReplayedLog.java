package jpcache.cache;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import jpcache.base.UserException;
import jpcache.extent.BulkLoad;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.media.CacheMedia;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.media.LogReplay;
import jpcache.media.ReplayProgress;
import jpcache.media.SharedZeros;
import org.jspecify.annotations.Nullable;

/** What a replay makes of the log: the extents, and how often each segment is referred to. */
final class ReplayedLog implements LogReplay.KeyVisitor {
  private static final Logger LOG = System.getLogger(ReplayedLog.class.getName());

  private final CacheMedia media;
  private final @Nullable KeyData keyData;
  final ExtentMap map;
  final int[] references;
  final SharedZeros zeros;
  final LogReplay.Summary summary;
  private final BulkLoad load;
  private final ReplayProgress progress;
  private boolean dirty;
  private int damagedKeys;

  /**
   * Replays the log.
   *
   * @param dirty whether all of it counts as dirty, wherever dirty_tail is
   */
  ReplayedLog(CacheMedia media, long logicalBytes, boolean dirty, ReplayProgress progress) {
    this.progress = progress;
    this.dirty = dirty;
    this.media = media;
    keyData =
        media.info().dataCrc() ? new KeyData(media.view(), media.segments(), Arena.ofAuto()) : null;
    map = new ExtentMap(logicalBytes, media.info().dataCrc());
    references = new int[media.segments().count()];
    load = new BulkLoad(map);
    zeros = new SharedZeros(media.view(), media.segments());
    summary = LogReplay.run(media, logicalBytes, this);
    load.finish();
    summary.logSegments().stream().forEach(segment -> references[segment]++);
    zeros.found().stream().forEach(segment -> references[segment]++);
  }

  @Override
  public int roomBytes(Kset kset, int key) {
    return zeros.holds(kset.keySegment(key), kset.keySegmentOffset(key))
        ? ZeroExtents.KEY_COST_BYTES
        : kset.keyLength(key);
  }

  @Override
  public void dirtyFromHere() {
    dirty = true;
  }

  @Override
  public void ksetDone(long keys) {
    progress.at(keys);
  }

  @Override
  public void key(Kset kset, int key) {
    int segment = kset.keySegment(key);
    long offset = kset.keyOffset(key);
    references[segment]++;
    long extent = Extent.ofBytes(offset, kset.keyLength(key), segment, kset.keySegmentOffset(key));
    boolean clean = !dirty || kset.keyIsClean(key);
    if (keyData != null && keyData.crc(kset, key) != kset.keyDataCrc(key)) {
      damaged(kset, key, clean);
      load.clear(offset, extent);
    } else {
      load.add(offset, clean ? Extent.clean(extent) : extent, kset.keyDataCrc(key));
    }
    if (zeros.holds(segment, kset.keySegmentOffset(key))) {
      map.subtree(offset).addZeroKey(!clean);
    }
  }

  /**
   * What the backing device does not have is lost, and as the kernel does when it attaches, we then
   * serve nothing. Of the rest nothing is served from here.
   */
  private void damaged(Kset kset, int key, boolean clean) {
    String what =
        media.device()
            + ": the data of logical bytes "
            + kset.keyOffset(key)
            + " to "
            + (kset.keyOffset(key) + kset.keyLength(key))
            + " in segment "
            + kset.keySegment(key)
            + " does not fit its data_crc; `jpcache fsck` finds all such places";
    if (!clean) {
      throw new UserException(what);
    }
    if (damagedKeys++ == 0) {
      LOG.log(Level.ERROR, "{0}; what the backing device has is read there", what);
    }
  }
}
