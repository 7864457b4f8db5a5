package jpcache.cache;

import java.lang.foreign.Arena;
import java.util.Random;
import jpcache.base.Crc32c;
import jpcache.media.CacheMedia;
import jpcache.media.Replicas;
import jpcache.media.ReplicatedSlot;
import jpcache.pmem.PmemRegion;

/** Media on which the latest update of every structure was torn. */
final class Torn {
  private Torn() {}

  static void everything(PmemRegion region, CacheMedia media) {
    tear(region, ReplicatedSlot.cacheInfo());
    tear(region, ReplicatedSlot.keyTail());
    tear(region, ReplicatedSlot.dirtyTail());
    for (int segment = 0; segment < 3; segment++) {
      tear(region, ReplicatedSlot.generation(media.segments().deviceSegment(segment)));
      tear(region, ReplicatedSlot.segmentInfo(media.segments().deviceSegment(segment)));
    }
  }

  /** Garbage in place of the replica that is not in force, where the next version would go. */
  private static void tear(PmemRegion region, ReplicatedSlot slot) {
    Replicas replicas = slot.inspect(region.view(), new Crc32c());
    try (Arena arena = Arena.ofConfined()) {
      byte[] garbage = new byte[16];
      new Random(1).nextBytes(garbage);
      var bytes = arena.allocate(garbage.length);
      bytes.copyFrom(java.lang.foreign.MemorySegment.ofArray(garbage));
      region.persist(slot.offsetBytes(1 - replicas.current()), bytes.address(), garbage.length);
    }
  }
}
