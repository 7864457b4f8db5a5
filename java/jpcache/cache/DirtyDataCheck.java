package jpcache.cache;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.util.HashSet;
import java.util.Set;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.media.KeyData;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Compares the data of a batch with its keys' data_crc before any of it goes to the backing device.
 *
 * <p>Damaged data never does. Where it has been overwritten since, by a key behind the batch, it is
 * left out: the newer data will follow. Otherwise it is all that there is, and write-back must not
 * pass it, for then the cache would forget it and clients would be given what the backing device
 * has: older data, and no error. The batch then fails, whole and untouched, and is tried again with
 * write-back's pauses, so that write-back goes on once a client has written or discarded these
 * bytes. Until then the status shows EBADMSG, reads of the bytes fail, and a cache that fills up
 * makes writes wait; the log line says so, once for each place.
 *
 * <p>All of a key is summed, also where only a part is still wanted: a part has no checksum.
 *
 * <p>Used by the maintenance thread.
 */
final class DirtyDataCheck {
  private static final Logger LOG = System.getLogger(DirtyDataCheck.class.getName());

  private final CacheMedia media;
  private final ExtentMap map;
  private final @Nullable KeyData keyData;
  private final ExtentList extents = new ExtentList();
  private final Set<Long> told = new HashSet<>();

  DirtyDataCheck(CacheMedia media, ExtentMap map) {
    this.media = media;
    this.map = map;
    keyData =
        media.info().dataCrc() ? new KeyData(media.view(), media.segments(), Arena.ofAuto()) : null;
  }

  /**
   * Checks a batch that has been planned, and takes out of the plan what is damaged and need not be
   * written.
   *
   * @return false if there is damaged data that nothing has replaced
   */
  boolean passes(LogBatch batch) {
    WriteBatch writes = batch.writes();
    boolean passes = true;
    boolean changed = false;
    if (keyData != null) {
      keyData.forget(); // since the last batch segments may have been recycled
    }
    for (int key = 0; keyData != null && key < writes.keys(); key++) {
      // Zeros that are shared are not read: the device is told to make zeros.
      boolean written = writes.isPlanned(key) && writes.keyHasPlace(key);
      String damage = written ? damage(keyData, writes, key, batch.dataCrc(key)) : null;
      if (damage != null) {
        boolean current = isCurrent(writes, key);
        tell(writes, key, damage, current);
        passes &= !current;
        changed |= !current;
        if (!current) {
          writes.leaveOut(key);
        }
      }
    }
    if (changed) {
      writes.plan();
    }
    if (passes) {
      told.clear();
    }
    return passes;
  }

  /** What is wrong with a key's data, or null. */
  private @Nullable String damage(KeyData data, WriteBatch batch, int key, int dataCrc) {
    try {
      int found =
          data.crc(
              batch.keySegment(key), batch.keySegmentOffsetBytes(key), batch.keyLengthBytes(key));
      return found == dataCrc
          ? null
          : String.format("data_crc is 0x%08x, must be 0x%08x", found, dataCrc);
    } catch (PoisonedMemoryException e) {
      return e.getMessage();
    }
  }

  private boolean isCurrent(WriteBatch batch, int key) {
    long offset = batch.keyOffsetBytes(key);
    long extent =
        Extent.ofBytes(
            offset,
            batch.keyLengthBytes(key),
            batch.keySegment(key),
            batch.keySegmentOffsetBytes(key));
    extents.clear();
    Subtree subtree = map.subtree(offset);
    synchronized (subtree) {
      subtree.overlaps(Extent.start(extent), Extent.end(extent), extents);
    }
    for (int i = 0; i < extents.size(); i++) {
      if (Extent.sameData(extents.get(i), extent)) {
        return true;
      }
    }
    return false;
  }

  private void tell(WriteBatch batch, int key, String damage, boolean current) {
    int segment = batch.keySegment(key);
    long place = media.segments().dataOffset(segment) + batch.keySegmentOffsetBytes(key);
    if (told.add(place)) {
      LOG.log(
          current ? Level.ERROR : Level.WARNING,
          "{0}: dirty data of logical bytes {1} to {2} at {3}, in segment {4}: {5}; {6}",
          media.device(),
          Long.toString(batch.keyOffsetBytes(key)),
          Long.toString(batch.keyOffsetBytes(key) + batch.keyLengthBytes(key)),
          Long.toString(place),
          Integer.toString(segment),
          damage,
          current
              ? "write-back waits until these bytes are written again or discarded; or stop, and"
                  + " use `jpcache rescue --force`"
              : "left out of write-back, newer data follows");
    }
  }
}
