package jpcache.cache;

import jpcache.base.Completion;

/**
 * Writes go to the backing device before they are answered, and past the cache where it holds
 * nothing of their range; what it does hold is renewed. Misses are cached.
 */
final class WriteAroundPolicy implements WritePolicy {
  @Override
  public boolean stage(
      CacheQueue queue,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean fua,
      Completion done) {
    return queue.stageDirect(offsetBytes, lengthBytes, address, fua, false, done);
  }

  @Override
  public boolean isDirect() {
    return true;
  }

  @Override
  public boolean fillsMisses() {
    return true;
  }
}
