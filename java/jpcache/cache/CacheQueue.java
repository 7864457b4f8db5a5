package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Crc32c;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * One client's requests to a {@link Cache}.
 *
 * <p>Data is copied when a write is handed over, its keys enter the trees at the commit: a reader
 * never sees data that has not been drained, and no thread has to wait for another's drain.
 *
 * <p>Used by one thread at a time; the fields are its scratch space. Locks, in this order: a
 * subtree, its open kset, the log's head.
 */
final class CacheQueue implements BlockQueue {
  /** Room in the log is taken for so many keys at once, to take its lock less often. */
  private static final int KEYS_RESERVED_AT_ONCE = 64;

  private final Cache cache;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ExtentMap map;
  private final KeyLog log;
  private final int lane;

  private final StagedWrites staged = new StagedWrites();
  private final List<Completion> flushes = new ArrayList<>();

  /** For each open kset the last ticket that must be durable before the batch completes, or 0. */
  private final long[] tickets;

  private boolean fuaStaged;

  /** Keys that the log has room for and that this queue has not yet staged. */
  private int reservedKeys;

  private final DataHead.Room room = new DataHead.Room();
  private final ExtentList extents = new ExtentList();
  private long[] generations = new long[16];
  private final Crc32c crc = new Crc32c();

  CacheQueue(Cache cache, int lane) {
    this.cache = cache;
    this.lane = lane;
    region = cache.region();
    segments = cache.segments();
    map = cache.map();
    log = cache.log();
    tickets = new long[log.openKsets()];
  }

  // ---- writes ----

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    // Who waits already has waited longer.
    Backlog backlog = cache.backlog();
    if (!backlog.isEmpty() || !stage(offsetBytes, lengthBytes, address, fua, done)) {
      backlog.add(offsetBytes, lengthBytes, address, fua, done);
    }
  }

  /**
   * Copies a write's data; its keys follow with the next {@link #commit}.
   *
   * @return false, with nothing left staged of it, if the cache has no room
   */
  boolean stage(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    int before = staged.pieces();
    int at = 0;
    while (at < lengthBytes) {
      long offset = offsetBytes + at;
      int inSubtree = SUBTREE_BYTES - (int) (offset & (SUBTREE_BYTES - 1));
      if (!takeRoom(Math.min(lengthBytes - at, inSubtree))) {
        dropPieces(before);
        return false;
      }
      long source = address + at;
      region.copy(segments.dataOffset(room.segment) + room.offsetBytes, source, room.lengthBytes);
      staged.addPiece(offset, room, cache.dataCrc() ? checksum(source, room.lengthBytes) : 0);
      at += room.lengthBytes;
    }
    fuaStaged |= fua;
    staged.addCompletion(done);
    return true;
  }

  /** Takes {@link #room} for data, and room in the log for its key. */
  private boolean takeRoom(int wantedBytes) {
    if (reservedKeys == 0) {
      if (log.head().reserve(KEYS_RESERVED_AT_ONCE)) {
        reservedKeys = KEYS_RESERVED_AT_ONCE;
      } else if (log.head().reserve(1)) {
        reservedKeys = 1;
      } else {
        return false;
      }
    }
    if (!cache.takeRoom(lane, wantedBytes, room)) {
      return false;
    }
    reservedKeys--;
    return true;
  }

  /** Gives back what the pieces from number {@code from} on have taken. */
  private void dropPieces(int from) {
    for (int piece = from; piece < staged.pieces(); piece++) {
      segments.release(staged.segment(piece));
      reservedKeys++;
    }
    staged.dropPieces(from);
  }

  private int checksum(long address, int lengthBytes) {
    ByteBuffer data = MemorySegment.ofAddress(address).reinterpret(lengthBytes).asByteBuffer();
    return crc.of(data);
  }

  @Override
  public void flush(Completion done) {
    flushes.add(done);
  }

  @Override
  public void commit() {
    if (staged.pieces() > 0) {
      region.drain();
      insertKeys();
      if (fuaStaged || cache.durability() == Durability.ACK) {
        makeKeysDurable();
      }
      fuaStaged = false;
      staged.completeAll();
    }
    if (!flushes.isEmpty()) {
      completeFlushes();
    }
  }

  private void insertKeys() {
    for (int piece = 0; piece < staged.pieces(); piece++) {
      long offset = staged.offset(piece);
      int length = staged.length(piece);
      int segment = staged.segment(piece);
      int segmentOffset = staged.segmentOffset(piece);
      int kset = log.indexOf(offset);
      Subtree subtree = map.subtree(offset);
      synchronized (subtree) {
        subtree.insert(Extent.ofBytes(offset, length, segment, segmentOffset));
        tickets[kset] =
            log.openKset(kset)
                .append(
                    offset,
                    length,
                    segment,
                    segmentOffset,
                    segments.generation(segment),
                    staged.dataCrc(piece));
      }
    }
  }

  private void makeKeysDurable() {
    for (int kset = 0; kset < tickets.length; kset++) {
      if (tickets[kset] != 0) {
        log.openKset(kset).makeDurable(tickets[kset]);
        tickets[kset] = 0;
      }
    }
  }

  private void completeFlushes() {
    // With durable acknowledgements all that had completed is durable already.
    if (cache.durability() == Durability.FLUSH) {
      log.flush();
    }
    for (int i = 0; i < flushes.size(); i++) {
      flushes.get(i).complete(0);
    }
    flushes.clear();
  }

  // ---- reads ----

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    @Nullable Miss miss = null; // made at the first hole
    long end = offsetBytes + lengthBytes;
    long holeStart = offsetBytes;
    int errno = 0;
    for (long at = offsetBytes; at < end && errno == 0; ) {
      long subtreeStart = at & -SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + SUBTREE_BYTES);
      errno = copyOut(subtreeStart, at, to, address - offsetBytes);
      for (int i = 0; i < extents.size(); i++) {
        long extent = extents.get(i);
        long start = subtreeStart + Extent.startBytes(extent);
        if (holeStart < start) {
          miss = readHole(miss, offsetBytes, address, holeStart, start, done);
        }
        holeStart = start + Extent.lengthBytes(extent);
      }
      at = to;
    }
    if (holeStart < end && errno == 0) {
      miss = readHole(miss, offsetBytes, address, holeStart, end, done);
    }
    if (miss == null) {
      done.complete(errno);
    } else {
      miss.complete(errno);
    }
  }

  /**
   * Copies what is cached of a part of a subtree; {@link #extents} are then what it was.
   *
   * <p>No lock is held meanwhile, so a segment may be recycled under the copy: its generation
   * tells, and the part is looked up again.
   *
   * @param addressOfZero where the logical device's first byte would go
   */
  private int copyOut(long subtreeStart, long from, long to, long addressOfZero) {
    boolean recycled;
    do {
      recycled = false;
      lookUp(from, to);
      for (int i = 0; i < extents.size() && !recycled; i++) {
        long extent = extents.get(i);
        long place = segments.dataOffset(Extent.segment(extent)) + Extent.placeBytes(extent);
        long target = addressOfZero + subtreeStart + Extent.startBytes(extent);
        try {
          PmemReads.copy(region.view(), place, target, Extent.lengthBytes(extent));
        } catch (PoisonedMemoryException e) {
          return Errno.EIO;
        }
        VarHandle.acquireFence(); // the generation must not be read before the data has been
        recycled = segments.generation(Extent.segment(extent)) != generations[i];
      }
    } while (recycled);
    return 0;
  }

  /** Finds the extents of a part of a subtree, and the generations that their segments have now. */
  private void lookUp(long from, long to) {
    extents.clear();
    Subtree subtree = map.find(from);
    if (subtree == null) {
      return;
    }
    int start = Extent.sectorInSubtree(from);
    int end = start + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
    synchronized (subtree) {
      subtree.overlaps(start, end, extents);
      if (generations.length < extents.size()) {
        generations = new long[2 * extents.size()];
      }
      for (int i = 0; i < extents.size(); i++) {
        generations[i] = segments.generation(Extent.segment(extents.get(i)));
      }
    }
  }

  private Miss readHole(
      @Nullable Miss miss, long requestOffset, long address, long from, long to, Completion done) {
    Miss m = miss != null ? miss : new Miss(done);
    m.addPart();
    cache.backing().read(from, (int) (to - from), address + (from - requestOffset), m);
    return m;
  }

  @Override
  public void close() {
    dropPieces(0);
    staged.clear();
    flushes.clear();
    log.head().release(reservedKeys);
    reservedKeys = 0;
  }
}
