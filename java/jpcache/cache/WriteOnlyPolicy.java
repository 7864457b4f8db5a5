package jpcache.cache;

import jpcache.base.Completion;

/** Writes go to the cache and later to the backing device; misses are not cached. */
final class WriteOnlyPolicy implements WritePolicy {
  @Override
  public boolean stage(
      CacheQueue queue,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean fua,
      Completion done) {
    return queue.stage(offsetBytes, lengthBytes, address, fua, done);
  }

  @Override
  public boolean isDirect() {
    return false;
  }

  @Override
  public boolean fillsMisses() {
    return false;
  }
}
