package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.Subtree;

/**
 * The direct writes of a queue's batch: finds what the cache keeps of each, and puts that where it
 * belongs, before any of them goes.
 *
 * <p>Used by one thread at a time.
 */
final class DirectStaging {
  private final Cache cache;
  private final Staging staging;
  private final DirectWrites writes;
  private final List<DirectWrite> batch = new ArrayList<>();
  private final ExtentList extents = new ExtentList();

  DirectStaging(Cache cache, Staging staging) {
    this.cache = cache;
    this.staging = staging;
    writes = cache.directWrites();
  }

  boolean isEmpty() {
    return batch.isEmpty();
  }

  /**
   * Takes a write into the batch: its data is copied.
   *
   * @param all whether the cache keeps all of it; otherwise what overlaps cached data
   * @return false, with nothing left of it, if there is no room
   * @throws UncheckedIOException if what the cache keeps could not be stored; nothing is left of it
   *     either
   */
  boolean stage(
      long offsetBytes, int lengthBytes, long address, boolean fua, boolean all, Completion done) {
    DirectWrite write = writes.stage(offsetBytes, lengthBytes, address, fua, done);
    long addressOfZero = address - offsetBytes;
    boolean taken = false;
    try {
      boolean staged =
          all
              ? staging.stage(write.pieces, offsetBytes, write.endBytes(), addressOfZero)
              : stageCached(write, addressOfZero);
      taken = staged && batch.add(write);
    } finally {
      if (!taken) {
        withdraw(write);
      }
    }
    return taken;
  }

  /**
   * Takes a part of a zeroed range into the batch. The cache keeps all of it.
   *
   * @return as {@link #stage}
   * @throws UncheckedIOException as there
   */
  boolean stageZeros(long from, long to, boolean unmap, boolean fua, Completion done) {
    DirectWrite write = writes.stageZeros(from, (int) (to - from), unmap, fua, done);
    boolean taken = false;
    try {
      taken = staging.stageZeros(write.pieces, from, to, unmap) && batch.add(write);
    } finally {
      if (!taken) {
        withdraw(write);
      }
    }
    return taken;
  }

  private boolean stageCached(DirectWrite write, long addressOfZero) {
    long end = write.endBytes();
    boolean staged = true;
    for (long at = write.offsetBytes; at < end && staged; ) {
      long to = Math.min(end, (at & -SUBTREE_BYTES) + SUBTREE_BYTES);
      staged = stageCached(write, at, to, addressOfZero);
      at = to;
    }
    return staged;
  }

  /** Stages what is cached of a part of a subtree, and keeps fills away from the rest. */
  private boolean stageCached(DirectWrite write, long from, long to, long addressOfZero) {
    long subtreeStart = from & -SUBTREE_BYTES;
    int start = Extent.sectorInSubtree(from);
    extents.clear();
    Subtree subtree = cache.map().subtree(from);
    boolean all;
    synchronized (subtree) {
      write.unsettled.add(cache.fills().keepAway(from, to));
      subtree.overlaps(start, start + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
      // What is not in the tree may be on media yet, or come before this write's turn.
      all = cache.keysMayOutliveExtents() || writes.order().isShared(write.turn);
    }
    if (all) {
      return staging.stage(write.pieces, from, to, addressOfZero);
    }
    boolean staged = true;
    for (int i = 0; i < extents.size() && staged; ) {
      int first = i++;
      while (i < extents.size() && Extent.start(extents.get(i)) == Extent.end(extents.get(i - 1))) {
        i++;
      }
      long runStart = subtreeStart + Extent.startBytes(extents.get(first));
      long last = extents.get(i - 1);
      long runEnd = subtreeStart + Extent.startBytes(last) + Extent.lengthBytes(last);
      staged = staging.stage(write.pieces, runStart, runEnd, addressOfZero);
    }
    return staged;
  }

  /** Lets all of the batch go, each as soon as its turn comes. What was staged has been drained. */
  void start() {
    if (batch.isEmpty()) {
      return;
    }
    int started = 0;
    try {
      while (started < batch.size()) {
        writes.start(batch.get(started++));
      }
    } finally {
      batch.subList(0, started).clear(); // whatever has been started ends by itself
    }
  }

  /** Gives the batch up: its writes complete with an error. */
  void abandon(int errno) {
    try {
      while (!batch.isEmpty()) {
        DirectWrite write = batch.removeLast();
        try {
          withdraw(write); // others go, and may throw
        } finally {
          write.done.complete(errno);
        }
      }
    } finally {
      if (!batch.isEmpty()) {
        abandon(errno);
      }
    }
  }

  private void withdraw(DirectWrite write) {
    staging.drop(write.pieces, 0);
    writes.withdraw(write);
  }
}
