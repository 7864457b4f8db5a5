package jpcache.cache;

import jpcache.base.Completion;

/** Writes go to the cache and to the backing device before they are answered; misses are cached. */
final class WriteThroughPolicy implements WritePolicy {
  @Override
  public boolean stage(
      CacheQueue queue,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean fua,
      Completion done) {
    return queue.stageDirect(offsetBytes, lengthBytes, address, fua, true, done);
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
