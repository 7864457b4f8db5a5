package jpcache.tools.fsck;

import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.LogReader;
import jpcache.media.MediaException;

/** Walks the key log key by key, up to its end or to the first kset that cannot be believed. */
final class LogWalk {
  /** Takes the keys of the log, oldest first. */
  @FunctionalInterface
  interface Visitor {
    /**
     * A key of the log, live or stale.
     *
     * @param atBytes where on the device it is
     * @param dirty it stands at or behind dirty_tail and is not clean
     */
    void key(Kset kset, int key, long atBytes, boolean live, boolean dirty);
  }

  private LogWalk() {}

  /**
   * Shows all keys.
   *
   * @return how many ordinary ksets there were
   */
  static long run(CacheMedia media, Visitor visitor) {
    LogReader reader = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    boolean behindDirtyTail = false;
    long ksets = 0;
    while (next(reader)) {
      behindDirtyTail |= reader.ksetPosition().equals(media.dirtyTail());
      Kset kset = reader.kset();
      ksets += kset.isLast() ? 0 : 1;
      long at =
          media.segments().dataOffset(reader.ksetPosition().cacheSegment())
              + reader.ksetPosition().offsetBytes();
      for (int key = 0; key < kset.keyCount(); key++) {
        long generation = media.segments().generation(kset.keySegment(key));
        boolean live = !kset.keyIsStale(key, generation);
        boolean dirty = behindDirtyTail && !kset.keyIsClean(key);
        visitor.key(kset, key, at + Kset.sizeBytes(key), live, dirty);
      }
    }
    return ksets;
  }

  private static boolean next(LogReader reader) {
    try {
      return reader.next();
    } catch (MediaException e) {
      return false; // phase 5 tells it
    }
  }
}
