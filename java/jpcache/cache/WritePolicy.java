package jpcache.cache;

import jpcache.base.Completion;
import jpcache.media.CacheMode;

/**
 * What a cache mode does with writes, and with what a read brings from the backing device. Each
 * mode is a class of its own, and {@link #of} the one place that tells them apart.
 *
 * <p>A queue asks for the policy once for each batch, so that a change of mode never stands between
 * two writes of one batch. Keys of all modes may lie in one log: they mean the same whichever mode
 * wrote them, and so media need nothing done to them when the mode changes.
 */
sealed interface WritePolicy
    permits WriteBackPolicy, WriteThroughPolicy, WriteAroundPolicy, WriteOnlyPolicy {
  /** The policy of a mode. */
  static WritePolicy of(CacheMode mode) {
    return switch (mode) {
      case WRITE_BACK -> new WriteBackPolicy();
      case WRITE_THROUGH -> new WriteThroughPolicy();
      case WRITE_AROUND -> new WriteAroundPolicy();
      case WRITE_ONLY -> new WriteOnlyPolicy();
    };
  }

  /**
   * Takes a write into the queue's batch: its data is copied when this returns, and what it is to
   * do happens at the commit.
   *
   * @return false, with nothing left of it, if the cache has no room that it would need; true
   *     otherwise, also if it has failed and completed
   */
  boolean stage(
      CacheQueue queue,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean fua,
      Completion done);

  /** Whether a write is answered only when the backing device has it. */
  boolean isDirect();

  /** Whether what a read brings from the backing device enters the cache. */
  boolean fillsMisses();
}
