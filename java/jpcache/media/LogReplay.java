package jpcache.media;

import java.util.BitSet;

/**
 * Replay: the walk over the whole log that tells which data is where.
 *
 * <p>A key whose segment has been recycled since (its generation is lower than the segment's) is
 * stale and skipped, before anything else of it is looked at: checking its data first would make a
 * sound image unreadable after a crash between a segment's reuse and the tail's update. Every other
 * key is handed on in the order of the log; a newer key lies over older ones.
 *
 * <p>Kernel counterpart: {@code cache_key.c: cache_replay}.
 */
public final class LogReplay {
  /** Takes the live keys of a log, oldest first. */
  @FunctionalInterface
  public interface KeyVisitor {
    /** Key number {@code key} of {@code kset} is live; the kset is valid during the call only. */
    void key(Kset kset, int key);

    /** The walk has come to dirty_tail: the backing device has all before. Once, or never. */
    default void dirtyFromHere() {}

    /** A kset has been dealt with; so many keys have been by now, stale ones included. */
    default void ksetDone(long keys) {}

    /** How much room a live key takes up that counts as dirty: that of its data, mostly. */
    default int roomBytes(Kset kset, int key) {
      return kset.keyLength(key);
    }
  }

  /**
   * What a replay found besides the keys.
   *
   * @param head key_head: where the log ends and goes on growing
   * @param newest where its newest kset begins, an ordinary or a last one; the head if there is
   *     none
   * @param used the cache segments that hold ksets of the log, or data that a live key points to
   * @param logSegments those of them that hold ksets
   * @param keys how many live keys there were
   * @param staleKeys how many were skipped
   * @param ksets how many ksets held them
   * @param dirtyTailOnLog whether dirty_tail is the place of a kset of the log, or its end; if it
   *     is not, {@link DirtyPart} says which part of the log must count as dirty
   * @param dirtyBytes the room that live keys take up that are not clean, from dirty_tail on, or of
   *     all of the log if dirty_tail is not on it
   */
  public record Summary(
      Position head,
      Position newest,
      BitSet used,
      BitSet logSegments,
      long keys,
      long staleKeys,
      long ksets,
      boolean dirtyTailOnLog,
      long dirtyBytes) {}

  private LogReplay() {}

  /**
   * Walks the log from key_tail to its end.
   *
   * @param logicalBytes the size of the logical device; {@link Long#MAX_VALUE} if not known
   * @throws MediaException if the log cannot be believed
   */
  public static Summary run(CacheMedia media, long logicalBytes, KeyVisitor visitor) {
    LogReader reader = new LogReader(media, media.keyTail(), logicalBytes);
    BitSet used = new BitSet(media.segments().count());
    long live = 0;
    long stale = 0;
    long ksets = 0;
    long dirtyBytes = 0;
    long allBytes = 0;
    Position newest = reader.head();
    boolean dirty = false;
    while (reader.next()) {
      Kset kset = reader.kset();
      newest = reader.ksetPosition();
      if (!dirty && newest.equals(media.dirtyTail())) {
        dirty = true;
        visitor.dirtyFromHere();
      }
      if (kset.isLast()) {
        continue;
      }
      ksets++;
      for (int key = 0; key < kset.keyCount(); key++) {
        int segment = kset.keySegment(key);
        if (kset.keyIsStale(key, media.segments().generation(segment))) {
          stale++;
        } else {
          live++;
          used.set(segment);
          if (!kset.keyIsClean(key)) {
            int roomBytes = visitor.roomBytes(kset, key);
            allBytes += roomBytes;
            dirtyBytes += dirty ? roomBytes : 0;
          }
          visitor.key(kset, key);
        }
      }
      visitor.ksetDone(live + stale);
    }
    used.or(reader.segmentsVisited());
    if (!dirty && reader.head().equals(media.dirtyTail())) {
      dirty = true;
      visitor.dirtyFromHere();
    }
    if (!dirty) {
      checkDirtyChain(media, logicalBytes);
    }
    return new Summary(
        reader.head(),
        newest,
        used,
        (BitSet) reader.segmentsVisited().clone(),
        live,
        stale,
        ksets,
        dirty,
        dirty ? dirtyBytes : allBytes);
  }

  /** Whoever walks from a dirty_tail that is not on key_tail's chain must come to an end too. */
  private static void checkDirtyChain(CacheMedia media, long logicalBytes) {
    LogReader reader = new LogReader(media, media.dirtyTail(), logicalBytes);
    while (reader.next()) {
      // the reader checks
    }
  }
}
