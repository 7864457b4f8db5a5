package jpcache.tools.fsck;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.SyncBacking;
import jpcache.base.UserException;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Phase 7: the backing device. Every key lies inside it, and it holds what clean keys and keys
 * before dirty_tail say that it does, wherever no dirty key lies over them.
 */
final class BackingCheck {
  private static final int ALIGNMENT_BYTES = 4096;

  private final CacheMedia media;
  private final BackingDevice backing;
  private final ExtentMap map;
  private final ExtentList extents = new ExtentList();

  /**
   * Marks extents whose data the backing device need not have: no key's data is in the segment
   * where the log begins.
   */
  private final int dirtyMark;

  private long compared;

  BackingCheck(CacheMedia media, BackingDevice backing) {
    this.media = media;
    this.backing = backing;
    map = new ExtentMap(backing.sizeBytes());
    dirtyMark = media.keyTail().cacheSegment();
  }

  String run(Consumer<Finding> findings) {
    LabelCheck.compare(media.view(), backing, findings);
    LogWalk.run(
        media,
        (kset, key, at, live, dirty) -> {
          if (inside(kset, key, at, findings) && live) {
            long offset = kset.keyOffset(key);
            int segment = dirty ? dirtyMark : kset.keySegment(key);
            long extent =
                Extent.ofBytes(offset, kset.keyLength(key), segment, kset.keySegmentOffset(key));
            Subtree subtree = map.subtree(offset);
            if (!dirty && coversDirty(subtree, extent)) {
              findings.accept(cleanOverDirty(offset, kset.keyLength(key), at));
            }
            subtree.insert(extent);
          }
        });
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment theirs = arena.allocate(ExtentMap.SUBTREE_BYTES, ALIGNMENT_BYTES);
      MemorySegment ours = arena.allocate(ExtentMap.SUBTREE_BYTES);
      for (long at = 0; at < backing.sizeBytes(); at += ExtentMap.SUBTREE_BYTES) {
        Subtree subtree = map.find(at);
        if (subtree != null) {
          compare(at, subtree, theirs, ours, findings);
        }
      }
    }
    return backing.sizeBytes() + " bytes, " + compared + " of them compared";
  }

  private boolean coversDirty(Subtree subtree, long extent) {
    extents.clear();
    subtree.overlaps(Extent.start(extent), Extent.end(extent), extents);
    for (int i = 0; i < extents.size(); i++) {
      if (Extent.segment(extents.get(i)) == dirtyMark) {
        return true;
      }
    }
    return false;
  }

  /** No writer makes it: what a miss brings never covers what the cache holds. */
  private static Finding cleanOverDirty(long offset, int length, long at) {
    return Finding.problem(
        "key.flags",
        at,
        "logical bytes " + offset + " to " + (offset + length),
        "clean, but over a key that is not written back: when that is, the backing device has"
            + " something else");
  }

  private boolean inside(Kset kset, int key, long at, Consumer<Finding> findings) {
    long end = kset.keyOffset(key) + kset.keyLength(key);
    if (end <= backing.sizeBytes()) {
      return true;
    }
    findings.accept(
        Finding.problem(
            "key.off",
            at,
            Long.toString(kset.keyOffset(key)),
            "with its length "
                + kset.keyLength(key)
                + " it ends beyond the backing device of "
                + backing.sizeBytes()
                + " bytes"));
    return false;
  }

  /**
   * Compares a subtree's clean extents, which are read from the backing device in one go, with what
   * is between them; where that fails, each alone.
   */
  private void compare(
      long start,
      Subtree subtree,
      MemorySegment theirs,
      MemorySegment ours,
      Consumer<Finding> findings) {
    extents.clear();
    subtree.overlaps(0, Extent.SUBTREE_SECTORS, extents);
    long from = Long.MAX_VALUE;
    long to = 0;
    for (int i = 0; i < extents.size(); i++) {
      if (Extent.segment(extents.get(i)) != dirtyMark) {
        from = Math.min(from, start + bytes(Extent.start(extents.get(i))));
        to = start + bytes(Extent.end(extents.get(i)));
      }
    }
    if (to == 0) {
      return;
    }
    boolean readable = read(from, (int) (to - from), theirs) == null;
    for (int i = 0; i < extents.size(); i++) {
      long extent = extents.get(i);
      if (Extent.segment(extent) != dirtyMark) {
        long offset = start + bytes(Extent.start(extent));
        int length = (int) bytes(Extent.sectors(extent));
        UserException failure = readable ? null : read(offset, length, theirs);
        if (failure == null) {
          MemorySegment there = theirs.asSlice(readable ? offset - from : 0, length);
          compare(extent, offset, there, ours, findings);
        } else {
          findings.accept(unreadable(place(extent), offset, length, failure));
        }
      }
    }
  }

  /** Returns what is wrong if the device cannot read that. */
  private @Nullable UserException read(long offset, int length, MemorySegment into) {
    try {
      SyncBacking.read(backing, offset, length, into.address());
      return null;
    } catch (UserException e) {
      return e;
    }
  }

  private static Finding unreadable(long place, long offset, int length, UserException failure) {
    return Finding.problem(
        "data",
        place,
        "logical bytes " + offset + " to " + (offset + length),
        "clean in the cache, but it cannot be compared: " + failure.getMessage());
  }

  private long place(long extent) {
    return media.segments().dataOffset(Extent.segment(extent)) + bytes(Extent.place(extent));
  }

  private void compare(
      long extent,
      long offset,
      MemorySegment theirs,
      MemorySegment ours,
      Consumer<Finding> findings) {
    long place = place(extent);
    compared += theirs.byteSize();
    try {
      PmemReads.copy(media.view(), place, ours, 0, theirs.byteSize());
    } catch (PoisonedMemoryException e) {
      findings.accept(Fsck.poisoned(e));
      return;
    }
    long different = theirs.mismatch(ours.asSlice(0, theirs.byteSize()));
    if (different >= 0) {
      findings.accept(
          Finding.problem(
              "data",
              place + different,
              "logical byte " + (offset + different),
              "clean in the cache, but the backing device holds something else"));
    }
  }

  private static long bytes(int sectors) {
    return (long) sectors << Extent.SECTOR_SHIFT;
  }
}
