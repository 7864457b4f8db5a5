package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.lang.foreign.MemorySegment;
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
  private final DataHead.Room room = new DataHead.Room();
  private final ExtentList extents = new ExtentList();
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
    int before = staged.pieces();
    int at = 0;
    while (at < lengthBytes) {
      long offset = offsetBytes + at;
      int inSubtree = SUBTREE_BYTES - (int) (offset & (SUBTREE_BYTES - 1));
      if (!cache.takeRoom(lane, Math.min(lengthBytes - at, inSubtree), room)) {
        staged.dropPieces(before);
        done.complete(Errno.ENOSPC);
        return;
      }
      long source = address + at;
      region.copy(segments.dataOffset(room.segment) + room.offsetBytes, source, room.lengthBytes);
      staged.addPiece(offset, room, cache.dataCrc() ? checksum(source, room.lengthBytes) : 0);
      at += room.lengthBytes;
    }
    fuaStaged |= fua;
    staged.addCompletion(done);
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
      if (log.head().reserve(staged.pieces())) {
        insertKeys();
        if (fuaStaged || cache.durability() == Durability.ACK) {
          makeKeysDurable();
        }
        staged.completeAll(0);
      } else {
        staged.completeAll(Errno.ENOSPC);
      }
    } else {
      staged.completeAll(0);
    }
    fuaStaged = false;
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
      lookUp(at, to);
      for (int i = 0; i < extents.size() && errno == 0; i++) {
        long extent = extents.get(i);
        long start = subtreeStart + ((long) Extent.start(extent) << Extent.SECTOR_SHIFT);
        if (holeStart < start) {
          miss = readHole(miss, offsetBytes, address, holeStart, start, done);
        }
        holeStart = start + ((long) Extent.sectors(extent) << Extent.SECTOR_SHIFT);
        errno = copyOut(extent, address + (start - offsetBytes));
      }
      at = to;
    }
    if (errno == 0 && holeStart < end) {
      miss = readHole(miss, offsetBytes, address, holeStart, end, done);
    }
    if (miss == null) {
      done.complete(errno);
    } else {
      miss.complete(errno);
    }
  }

  private void lookUp(long from, long to) {
    extents.clear();
    Subtree subtree = map.find(from);
    if (subtree != null) {
      int start = Extent.sectorInSubtree(from);
      int end = start + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
      synchronized (subtree) {
        subtree.overlaps(start, end, extents);
      }
    }
  }

  private int copyOut(long extent, long address) {
    long from =
        segments.dataOffset(Extent.segment(extent))
            + ((long) Extent.place(extent) << Extent.SECTOR_SHIFT);
    try {
      PmemReads.copy(
          region.view(), from, address, (long) Extent.sectors(extent) << Extent.SECTOR_SHIFT);
      return 0;
    } catch (PoisonedMemoryException e) {
      return Errno.EIO;
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
    staged.clear();
    flushes.clear();
  }
}
