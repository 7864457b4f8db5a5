package jpcache.cache;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.util.BitSet;
import jpcache.base.UserException;
import jpcache.extent.BulkLoad;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.media.LogReplay;
import jpcache.media.MediaException;
import jpcache.media.ReplayProgress;
import jpcache.media.RestOfLog;
import jpcache.media.SharedZeros;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/** What a replay makes of the log: the extents, and how often each segment is referred to. */
final class ReplayedLog implements LogReplay.KeyVisitor {
  private static final Logger LOG = System.getLogger(ReplayedLog.class.getName());

  /** As it is served: dirty_tail is on the log. */
  final CacheMedia media;

  private final @Nullable KeyData keyData;
  final ExtentMap map;
  final int[] references;
  final SharedZeros zeros;
  final LogReplay.Summary summary;

  /** The segments with data of a key where shared zeros would not leave it room. */
  private final BitSet withoutZeros = new BitSet();

  private final BulkLoad load;
  private final ReplayProgress progress;
  private boolean dirty;
  private int damagedKeys;

  /**
   * Replays the log; once more, which is rare, if at its end something turns out to be wrong that
   * was taken for granted from its begin on: that dirty_tail is on the log, and that a segment
   * holds shared zeros if it begins like one that does.
   *
   * @throws UserException if it is not known which part of the log is dirty, or the log is damaged
   *     before dirty_tail
   */
  static ReplayedLog of(CacheMedia read, long logicalBytes, ReplayProgress progress) {
    ReplayedLog replayed = first(read, logicalBytes, progress);
    boolean onLog = replayed.summary.dirtyTailOnLog();
    CacheMedia media = onLog ? read : allDirty(read);
    BitSet withoutZeros = replayed.withoutZeros;
    if (!onLog || withoutZeros.intersects(replayed.zeros.found())) {
      replayed = null; // there may be no room for two maps
      replayed = new ReplayedLog(media, logicalBytes, withoutZeros, progress);
    }
    return replayed;
  }

  private static ReplayedLog first(CacheMedia media, long logicalBytes, ReplayProgress progress) {
    try {
      return new ReplayedLog(media, logicalBytes, new BitSet(), progress);
    } catch (MediaException | PoisonedMemoryException e) {
      throw DirtyPart.refusal(media, e);
    }
  }

  /** Where dirty_tail is an old one nothing of the log is known to be on the device. */
  private static CacheMedia allDirty(CacheMedia media) {
    DirtyPart part = DirtyPart.of(media);
    if (part.where() != DirtyPart.Where.ALL) {
      throw part.refusal();
    }
    return part.mended();
  }

  /**
   * Replays the log.
   *
   * @param others the segments that hold no shared zeros, whatever they look like
   */
  private ReplayedLog(CacheMedia media, long logicalBytes, BitSet others, ReplayProgress progress) {
    this.progress = progress;
    this.media = media;
    keyData =
        media.info().dataCrc() ? new KeyData(media.view(), media.segments(), Arena.ofAuto()) : null;
    map = new ExtentMap(logicalBytes, media.info().dataCrc());
    references = new int[media.segments().count()];
    load = new BulkLoad(map);
    zeros = new SharedZeros(media.view(), media.segments(), others);
    summary = LogReplay.run(media, logicalBytes, this);
    load.finish();
    summary.logSegments().stream().forEach(segment -> references[segment]++);
    zeros.found().stream().forEach(segment -> references[segment]++);
  }

  /** Says so where a valid key set that may matter stands behind a torn one, out of reach. */
  void tellRest() {
    try {
      RestOfLog.behind(media, summary.head())
          .filter(RestOfLog::beginsLive)
          .ifPresent(rest ->
              LOG.log(
                  Level.WARNING,
                  "{0}: a torn key set at {1} is followed by a valid one at {2}, which is not"
                      + " reached and will be written over; if a power cut did not leave that, stop,"
                      + " copy the cache, and look at it with `jpcache fsck` before you go on",
                  media.device(),
                  rest.torn(),
                  rest.first()));
    } catch (PoisonedMemoryException e) {
      LOG.log(Level.DEBUG, "what is behind the log cannot be read", e);
    }
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
    Damage damage = keyData == null ? Damage.NONE : damage(keyData, kset, key);
    if (damage != Damage.NONE) {
      damaged(kset, key, clean, damage);
      load.clear(offset, extent);
    } else {
      load.add(offset, clean ? Extent.clean(extent) : extent, kset.keyDataCrc(key));
    }
    if (SharedZeros.isExcludedBy(kset.keySegmentOffset(key))) {
      withoutZeros.set(segment);
    } else if (zeros.holds(segment, kset.keySegmentOffset(key))) {
      map.subtree(offset).addZeroKey(!clean);
    }
  }

  /** What a look at a key's data has found. */
  private enum Damage {
    NONE("", ""),
    OTHER_DATA(
        "does not fit its data_crc",
        "`jpcache rescue --force` brings all dirty data to the backing device, these bytes as they"
            + " are"),
    UNREADABLE(
        "cannot be read",
        "`jpcache rescue --force --skip-unreadable` brings all other dirty data to the backing"
            + " device");

    final String told;
    final String wayOut;

    Damage(String told, String wayOut) {
      this.told = told;
      this.wayOut = wayOut;
    }
  }

  private static Damage damage(KeyData data, Kset kset, int key) {
    try {
      return data.crc(kset, key) == kset.keyDataCrc(key) ? Damage.NONE : Damage.OTHER_DATA;
    } catch (PoisonedMemoryException e) {
      return Damage.UNREADABLE; // no less known than a mismatch, and dealt with like one
    }
  }

  /**
   * What the backing device does not have is lost, and as the kernel does when it attaches, we then
   * serve nothing. Of the rest nothing is served from here.
   */
  private void damaged(Kset kset, int key, boolean clean, Damage damage) {
    String what =
        media.device()
            + ": the data of logical bytes "
            + kset.keyOffset(key)
            + " to "
            + (kset.keyOffset(key) + kset.keyLength(key))
            + " in segment "
            + kset.keySegment(key)
            + " "
            + damage.told
            + "; `jpcache fsck` finds all such places";
    if (!clean) {
      throw new UserException(what + ", and " + damage.wayOut);
    }
    if (damagedKeys++ == 0) {
      LOG.log(Level.ERROR, "{0}; what the backing device has is read there", what);
    }
  }
}
