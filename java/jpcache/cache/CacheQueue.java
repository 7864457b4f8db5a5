package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Crc32c;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.Layout;
import jpcache.metrics.Counters;
import jpcache.pmem.PmemRegion;

/**
 * One client's requests to a {@link Cache}; its reads are {@link QueueReads}.
 *
 * <p>Data is copied when a write is handed over, its keys enter the trees at the commit: a reader
 * never sees data that has not been drained, and no thread has to wait for another's drain.
 *
 * <p>Used by one thread at a time; the fields are its scratch space. Locks, in this order: a
 * subtree, its open kset, the log's head.
 */
final class CacheQueue implements BlockQueue {
  private static final Logger LOG = System.getLogger(CacheQueue.class.getName());

  /** Room in the log is taken for so many keys at once, to take its lock less often. */
  private static final int KEYS_RESERVED_AT_ONCE = 64;

  /** A zeroed range is published in parts of so many keys, up to 4 GiB. */
  private static final int ZERO_KEYS_AT_ONCE = 1024;

  /** So many, at most, on the client's thread: that takes some milliseconds. */
  private static final int ZERO_KEYS_BY_CALLER = 1 << 16;

  private final Cache cache;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ExtentMap map;
  private final KeyLog log;
  private final int lane;
  private final Counters.Stripe<CacheMetrics.Event> counters;

  private final StagedWrites staged = new StagedWrites();
  private final List<Completion> flushes = new ArrayList<>();

  /** For each open kset the last ticket that must be durable before the batch completes, or 0. */
  private final long[] tickets;

  private boolean fuaStaged;

  /** Keys that the log has room for and that this queue has not yet staged. */
  private int reservedKeys;

  private final DataHead.Room room = new DataHead.Room();
  private final QueueReads reads;
  private final Crc32c crc = new Crc32c();

  CacheQueue(Cache cache, int lane) {
    this.cache = cache;
    this.lane = lane;
    region = cache.region();
    segments = cache.segments();
    map = cache.map();
    log = cache.log();
    tickets = new long[log.openKsets()];
    counters = cache.metrics().open();
    reads = new QueueReads(cache, counters);
  }

  // ---- writes ----

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    Backlog backlog = cache.backlog();
    // Who waits already has waited longer.
    Admission admission = cache.admission();
    boolean admitted = backlog.isEmpty() && admission.admit(lengthBytes);
    if (admitted && stage(offsetBytes, lengthBytes, address, fua, done)) {
      return;
    }
    if (admitted) {
      admission.refund(lengthBytes);
    }
    counters.add(CacheMetrics.Event.WRITES_WAITED, 1);
    // What the batch has staged comes before this write, and its room may be what this one needs.
    publish();
    backlog.add(offsetBytes, lengthBytes, address, fua, done);
  }

  /**
   * A key of up to 4 MiB for each subtree, into the {@link ZeroExtents}. A range of which the cache
   * holds nothing goes the same way: the backing device must not get it before the writes that were
   * acknowledged earlier, or it would no longer hold a state that its user knows.
   */
  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, boolean unmap, boolean fua, Completion done) {
    long at = offsetBytes;
    long end = offsetBytes + lengthBytes;
    if (cache.backlog().isEmpty()) {
      at = stageZeroes(offsetBytes, end, unmap, fua, done, ZERO_KEYS_BY_CALLER);
      if (at == end) {
        return;
      }
    }
    counters.add(CacheMetrics.Event.WRITES_WAITED, 1);
    publish();
    cache.backlog().addZeroes(at, end, unmap, fua, done);
  }

  /**
   * Stages the keys of a zeroed range, from its begin on, and publishes them now and then; those of
   * the end follow with the next {@link #commit}, which completes it.
   *
   * @return where it had to stop: at {@code maxKeys}, or where there was no room; the end if all is
   *     staged, or has failed and completed
   */
  long stageZeroes(long from, long end, boolean unmap, boolean fua, Completion done, int maxKeys) {
    long at = from;
    for (int keys = 0; at < end && keys < maxKeys; keys++) {
      try {
        if (!takeRoomForZeroes()) {
          return at;
        }
      } catch (UncheckedIOException e) {
        LOG.log(Level.ERROR, "a range is not zeroed: {0}", e.getMessage());
        done.complete(Errno.EIO);
        return end;
      }
      int inSubtree = SUBTREE_BYTES - (int) (at & (SUBTREE_BYTES - 1));
      int length = (int) Math.min(end - at, inSubtree);
      cache.zeros().take(length, unmap, room);
      staged.addPiece(at, room, cache.dataCrc() ? ZeroExtents.dataCrc(length) : 0);
      fuaStaged |= fua;
      at += length;
      if (staged.pieces() >= ZERO_KEYS_AT_ONCE) {
        publish();
      }
    }
    if (at == end) {
      staged.addCompletion(done);
    }
    return at;
  }

  /** Takes what the key of a zeroed range takes: room in the log, and zeros to point to. */
  private boolean takeRoomForZeroes() {
    Admission admission = cache.admission();
    if (!admission.admit(ZeroExtents.KEY_COST_BYTES)) {
      return false;
    }
    if (reserveKeys() && cache.prepareZeros(lane)) {
      reservedKeys--;
      return true;
    }
    admission.refund(ZeroExtents.KEY_COST_BYTES);
    return false;
  }

  /**
   * Copies a write's data; its keys follow with the next {@link #commit}.
   *
   * @return false, with nothing left staged of it, if the cache has no room; true otherwise, also
   *     if it has failed and completed
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
      try {
        region.copy(segments.dataOffset(room.segment) + room.offsetBytes, source, room.lengthBytes);
      } catch (UncheckedIOException e) {
        LOG.log(Level.ERROR, "a write fails: {0}", e.getMessage());
        segments.release(room.segment);
        reservedKeys++;
        dropPieces(before);
        done.complete(Errno.EIO);
        return true;
      }
      staged.addPiece(offset, room, cache.dataCrc() ? crc.of(source, room.lengthBytes) : 0);
      at += room.lengthBytes;
    }
    counters.add(CacheMetrics.Event.STORED_BYTES, lengthBytes);
    fuaStaged |= fua;
    staged.addCompletion(done);
    return true;
  }

  /** Takes {@link #room} for data, and room in the log for its key. */
  private boolean takeRoom(int wantedBytes) {
    if (!reserveKeys() || !cache.takeRoom(lane, wantedBytes, room)) {
      return false;
    }
    reservedKeys--;
    return true;
  }

  /** Sees to it that there is room in the log for one key at least. */
  private boolean reserveKeys() {
    if (reservedKeys == 0) {
      if (log.head().reserve(KEYS_RESERVED_AT_ONCE)) {
        reservedKeys = KEYS_RESERVED_AT_ONCE;
      } else if (log.head().reserve(1)) {
        reservedKeys = 1;
      }
    }
    return reservedKeys > 0;
  }

  /** Gives back what the pieces from number {@code from} on have taken. */
  private void dropPieces(int from) {
    for (int piece = from; piece < staged.pieces(); piece++) {
      segments.release(staged.segment(piece));
      reservedKeys++;
    }
    staged.dropPieces(from);
  }

  @Override
  public void flush(Completion done) {
    flushes.add(done);
  }

  @Override
  public void commit() {
    publish();
    staged.completeAll();
    if (!flushes.isEmpty()) {
      completeFlushes();
    }
  }

  /** Makes what has been staged visible and, where that is promised, durable; completes nothing. */
  private void publish() {
    if (staged.pieces() == 0) {
      return;
    }
    region.drain();
    insertKeys();
    if (fuaStaged || cache.durability() == Durability.ACK) {
      makeKeysDurable();
    }
    fuaStaged = false;
    staged.dropPieces(0);
    counters.add(CacheMetrics.Event.COMMITS, 1);
    cache.roomMayHaveCome();
  }

  private void insertKeys() {
    for (int piece = 0; piece < staged.pieces(); piece++) {
      Subtree subtree = map.subtree(staged.offset(piece));
      synchronized (subtree) {
        cache.fills().overtake(staged.offset(piece), staged.length(piece));
        tickets[log.indexOf(staged.offset(piece))] = insertKey(subtree, piece, 0);
      }
    }
  }

  /**
   * Instead of {@link #commit}, for what has been staged of one subtree and is on the backing
   * device already: its keys enter as clean ones. Nobody waits for them to be durable. Called with
   * the subtree's lock held, after a drain.
   */
  void insertClean(Subtree subtree) {
    for (int piece = 0; piece < staged.pieces(); piece++) {
      insertKey(subtree, piece, Layout.KEY_FLAG_CLEAN);
    }
    staged.clear();
  }

  /** Instead of {@link #commit}: gives back what has been staged, and completes nothing. */
  void abandon() {
    dropPieces(0);
    staged.clear();
    fuaStaged = false;
  }

  /** With the subtree's lock held; returns the key's ticket in its open kset. */
  private long insertKey(Subtree subtree, int piece, int flags) {
    long offset = staged.offset(piece);
    int length = staged.length(piece);
    int segment = staged.segment(piece);
    int segmentOffset = staged.segmentOffset(piece);
    long extent = Extent.ofBytes(offset, length, segment, segmentOffset);
    boolean clean = (flags & Layout.KEY_FLAG_CLEAN) != 0;
    subtree.insert(clean ? Extent.clean(extent) : extent, staged.dataCrc(piece));
    if (cache.zeros().holds(segment, segmentOffset)) {
      subtree.addZeroKey(!clean);
    }
    return log.openKset(log.indexOf(offset))
        .append(
            offset,
            length,
            flags,
            segment,
            segmentOffset,
            segments.generation(segment),
            staged.dataCrc(piece));
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
    reads.read(offsetBytes, lengthBytes, address, done);
  }

  @Override
  public void prefetch(long offsetBytes, long lengthBytes, Completion done) {
    cache.prefetches().add(offsetBytes, lengthBytes, done);
  }

  @Override
  public void describe(long offsetBytes, long lengthBytes, ExtentSink sink) {
    new Description(map, cache.zeros(), sink).tell(offsetBytes, lengthBytes);
  }

  @Override
  public void close() {
    dropPieces(0);
    staged.clear();
    flushes.clear();
    log.head().release(reservedKeys);
    reservedKeys = 0;
    counters.close();
    cache.roomMayHaveCome();
  }
}
