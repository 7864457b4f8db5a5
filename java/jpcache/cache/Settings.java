package jpcache.cache;

import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMode;
import jpcache.media.MetadataWriter;
import org.jspecify.annotations.Nullable;

/**
 * What can be changed while a cache is in use, and how that is made durable: its mode, and from
 * which share of used segments on garbage is collected.
 *
 * <p>A mode with direct writes is stored before the first of them, one without them when a flush
 * has vouched for the last: whoever opens a cache in a mode with direct writes knows that the
 * device may have lost some.
 *
 * <p>Any thread. This object's monitor excludes other writers of cache info.
 */
final class Settings {
  private final MetadataWriter metadata;
  private volatile CacheInfo info;
  private volatile WritePolicy policy;

  /** A mode that is in force and not yet durable. */
  private volatile @Nullable CacheMode modeToStore;

  Settings(MetadataWriter metadata, CacheInfo info) {
    this.metadata = metadata;
    this.info = info;
    policy = WritePolicy.of(info.mode());
  }

  /** What is durable. */
  CacheInfo info() {
    return info;
  }

  /** What batches that begin now do. */
  WritePolicy policy() {
    return policy;
  }

  /** The mode in which batches begin; it may not be durable yet. */
  CacheMode mode() {
    CacheMode toStore = modeToStore;
    return toStore != null ? toStore : info.mode();
  }

  /**
   * Durable, and in effect, when this returns.
   *
   * @throws UserException if it is not 0 to 90
   */
  synchronized void setGcPercent(int percent) {
    if (percent < 0 || percent > CacheInfo.GC_PERCENT_MAX) {
      throw new UserException(
          "gc-percent " + percent + ": must be 0 to " + CacheInfo.GC_PERCENT_MAX);
    }
    store(info.withGcPercent(percent));
  }

  /**
   * Puts a mode in force.
   *
   * @return whether the cache has to be drained for it, which ends with {@link #storeMode}
   * @throws java.io.UncheckedIOException if it has to be stored first and cannot be
   */
  synchronized boolean setMode(CacheMode mode) {
    boolean wasDirect = WritePolicy.of(info.mode()).isDirect();
    WritePolicy next = WritePolicy.of(mode);
    if (next.isDirect() || !wasDirect) {
      store(info.withMode(mode)); // if it cannot be, nothing has changed
      modeToStore = null;
    } else {
      modeToStore = mode;
    }
    policy = next;
    return next.isDirect() || wasDirect;
  }

  /** Whether the mode that is in force is not durable yet. */
  boolean modeIsToBeStored() {
    return modeToStore != null;
  }

  /** Makes the mode durable that was set, if it is not yet. */
  synchronized void storeMode() {
    CacheMode mode = modeToStore;
    if (mode != null) {
      store(info.withMode(mode));
      modeToStore = null;
    }
  }

  private void store(CacheInfo changed) {
    metadata.cacheInfo(changed);
    info = changed;
  }
}
