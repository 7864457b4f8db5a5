package jpcache.cache;

import jpcache.media.CacheMode;

/**
 * What a cache mode does with writes, and with what a read brings from the backing device: the one
 * place that tells modes apart.
 *
 * <p>A queue asks for the policy once for each batch, so that a change of mode never stands between
 * two writes of one batch. Keys of all modes may lie in one log: they mean the same whichever mode
 * wrote them, and so media need nothing done to them when the mode changes.
 */
enum WritePolicy {
  /** Writes go to the cache and later to the backing device; misses are cached. */
  WRITE_BACK(false, true, true),

  /** Writes go to both before they are answered; misses are cached. */
  WRITE_THROUGH(true, true, true),

  /**
   * Writes go to the backing device before they are answered, and past the cache where it holds
   * nothing of their range; what it does hold is renewed. Misses are cached.
   */
  WRITE_AROUND(true, false, true),

  /** As write-back; misses are not cached. */
  WRITE_ONLY(false, true, false);

  private final boolean direct;
  private final boolean cachesWrites;
  private final boolean fillsMisses;

  WritePolicy(boolean direct, boolean cachesWrites, boolean fillsMisses) {
    this.direct = direct;
    this.cachesWrites = cachesWrites;
    this.fillsMisses = fillsMisses;
  }

  /** The policy of a mode. */
  static WritePolicy of(CacheMode mode) {
    return switch (mode) {
      case WRITE_BACK -> WRITE_BACK;
      case WRITE_THROUGH -> WRITE_THROUGH;
      case WRITE_AROUND -> WRITE_AROUND;
      case WRITE_ONLY -> WRITE_ONLY;
    };
  }

  /** Whether a write is answered only when the backing device has it. */
  boolean isDirect() {
    return direct;
  }

  /** Whether the cache takes all of a write, or only what renews something it holds. */
  boolean cachesWrites() {
    return cachesWrites;
  }

  /** Whether what a read brings from the backing device enters the cache. */
  boolean fillsMisses() {
    return fillsMisses;
  }
}
