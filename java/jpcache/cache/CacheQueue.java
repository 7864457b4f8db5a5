package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Crc32c;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.Layout;
import jpcache.metrics.Counters;
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
  private static final Logger LOG = System.getLogger(CacheQueue.class.getName());

  /** Room in the log is taken for so many keys at once, to take its lock less often. */
  private static final int KEYS_RESERVED_AT_ONCE = 64;

  private static final int RECYCLED = -1;

  private static final MemorySegment ZEROS = Arena.global().allocate(1 << 20);

  private final Cache cache;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ExtentMap map;
  private final KeyLog log;
  private final int lane;
  private final Counters.Stripe<CacheMetrics.Event> counters;

  private final StagedWrites staged = new StagedWrites(64);
  private final List<DirectWrite> direct = new ArrayList<>();
  private final List<Completion> flushes = new ArrayList<>();
  private final KeyInsertion keys;

  /** What the cache's mode was when the batch's first write came; null before that. */
  private volatile @Nullable WritePolicy policy;

  /** The error that the batch's writes end with. */
  private int batchErrno;

  private boolean fuaStaged;

  /** Keys that the log has room for and that this queue has not yet staged. */
  private int reservedKeys;

  private final DataHead.Room room = new DataHead.Room();
  private final ExtentList extents = new ExtentList();
  private long[] generations = new long[16];
  private final List<Fill> holes = new ArrayList<>();

  /** The read that is being looked up, once it has met a hole. */
  private @Nullable Miss miss;

  private final Crc32c crc = new Crc32c();

  CacheQueue(Cache cache, int lane) {
    this.cache = cache;
    this.lane = lane;
    region = cache.region();
    segments = cache.segments();
    map = cache.map();
    log = cache.log();
    keys = new KeyInsertion(cache);
    counters = cache.metrics().open();
  }

  // ---- writes ----

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    WritePolicy mode = policy();
    if (mode.isDirect() && cache.directWrites().isFull()) {
      publish();
      cache.directWrites().awaitRoom();
    }
    Backlog backlog = cache.backlog();
    // Who waits already has waited longer.
    Admission admission = cache.admission();
    boolean admitted = backlog.isEmpty() && admission.admit(lengthBytes);
    if (admitted && mode.stage(this, offsetBytes, lengthBytes, address, fua, done)) {
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

  /** The mode's policy, the same for all writes of a batch. */
  private WritePolicy policy() {
    WritePolicy chosen = policy;
    if (chosen != null) {
      return chosen;
    }
    // Whoever changes the mode looks at the batches afterwards: it sees this one, or this one sees
    // the new mode.
    do {
      chosen = cache.policy();
      policy = chosen;
    } while (chosen != cache.policy());
    return chosen;
  }

  /** Whether this queue has a batch that was begun in another mode. Any thread may ask. */
  boolean isBehind(WritePolicy current) {
    WritePolicy chosen = policy;
    return chosen != null && chosen != current;
  }

  /** Takes a write into the batch as the mode has it, admitted already; for the backlog. */
  boolean stageByMode(
      long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    WritePolicy mode = policy();
    return mode.stage(this, offsetBytes, lengthBytes, address, fua, done)
        || (cache.freeUsedUpLanes()
            && mode.stage(this, offsetBytes, lengthBytes, address, fua, done));
  }

  /** Piece by piece, as writes of zeros. */
  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, boolean unmap, boolean fua, Completion done) {
    Miss pieces = new Miss(done);
    long end = offsetBytes + lengthBytes;
    for (long at = offsetBytes; at < end; at += ZEROS.byteSize()) {
      pieces.addPart();
      int length = (int) Math.min(end - at, ZEROS.byteSize());
      write(at, length, ZEROS.address(), fua, pieces);
    }
    pieces.complete(0);
  }

  /**
   * Copies a write's data; its keys follow with the next {@link #commit}.
   *
   * @return false, with nothing left staged of it, if the cache has no room; true otherwise, also
   *     if it has failed and completed
   */
  boolean stage(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    try {
      if (!stagePieces(staged, offsetBytes, offsetBytes + lengthBytes, address - offsetBytes)) {
        return false;
      }
    } catch (UncheckedIOException e) {
      fail(done, e);
      return true;
    }
    fuaStaged |= fua;
    staged.addCompletion(done);
    return true;
  }

  /**
   * Copies the data of a write that goes to the backing device with the next {@link #commit}, and
   * into persistent memory what the cache keeps of it.
   *
   * @param all whether that is everything; otherwise what the cache holds already
   * @return as {@link #stage}
   */
  boolean stageDirect(
      long offsetBytes, int lengthBytes, long address, boolean fua, boolean all, Completion done) {
    DirectWrite write = cache.directWrites().stage(offsetBytes, lengthBytes, address, fua, done);
    long end = offsetBytes + lengthBytes;
    try {
      boolean staged =
          all
              ? stagePieces(write.pieces, offsetBytes, end, address - offsetBytes)
              : stageCached(write, address - offsetBytes);
      if (staged) {
        direct.add(write);
      } else {
        withdraw(write);
      }
      return staged;
    } catch (UncheckedIOException e) {
      withdraw(write);
      fail(done, e);
      return true;
    }
  }

  /** Stages what the cache holds of a write's range, and keeps fills away from the rest. */
  private boolean stageCached(DirectWrite write, long addressOfZero) {
    long end = write.offsetBytes + write.lengthBytes;
    for (long at = write.offsetBytes; at < end; ) {
      long subtreeStart = at & -SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + SUBTREE_BYTES);
      if (!stageCached(write, subtreeStart, at, to, addressOfZero)) {
        return false;
      }
      at = to;
    }
    return true;
  }

  private boolean stageCached(
      DirectWrite write, long subtreeStart, long from, long to, long addressOfZero) {
    extents.clear();
    Subtree subtree = map.subtree(from);
    int start = Extent.sectorInSubtree(from);
    boolean all;
    synchronized (subtree) {
      write.unsettled.add(cache.fills().keepAway(from, to));
      subtree.overlaps(start, start + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
      // What is not in the tree may be on media yet, or come before this write's turn.
      all = cache.keysMayOutliveExtents() || cache.directWrites().order().isShared(write.turn);
    }
    if (all) {
      return stagePieces(write.pieces, from, to, addressOfZero);
    }
    long runStart = -1;
    long runEnd = -1;
    for (int i = 0; i < extents.size(); i++) {
      long extentStart = subtreeStart + Extent.startBytes(extents.get(i));
      if (extentStart != runEnd) {
        if (runEnd > runStart && !stagePieces(write.pieces, runStart, runEnd, addressOfZero)) {
          return false;
        }
        runStart = extentStart;
      }
      runEnd = extentStart + Extent.lengthBytes(extents.get(i));
    }
    return runEnd <= runStart || stagePieces(write.pieces, runStart, runEnd, addressOfZero);
  }

  /**
   * Takes room for the bytes from one place to another, and copies them there.
   *
   * @param addressOfZero where the logical device's first byte would be
   * @return false, with nothing left of it, if there is no room
   * @throws UncheckedIOException if they could not be stored; nothing is left of it either
   */
  private boolean stagePieces(StagedWrites pieces, long from, long to, long addressOfZero) {
    int before = pieces.pieces();
    long at = from;
    while (at < to) {
      int inSubtree = SUBTREE_BYTES - (int) (at & (SUBTREE_BYTES - 1));
      if (!takeRoom((int) Math.min(to - at, inSubtree))) {
        dropPieces(pieces, before);
        return false;
      }
      long source = addressOfZero + at;
      try {
        region.copy(segments.dataOffset(room.segment) + room.offsetBytes, source, room.lengthBytes);
      } catch (UncheckedIOException e) {
        segments.release(room.segment);
        reservedKeys++;
        dropPieces(pieces, before);
        throw e;
      }
      pieces.addPiece(at, room, cache.dataCrc() ? checksum(source, room.lengthBytes) : 0);
      at += room.lengthBytes;
    }
    counters.add(CacheMetrics.Event.STORED_BYTES, to - from);
    return true;
  }

  private static void fail(Completion done, UncheckedIOException e) {
    LOG.log(Level.ERROR, "a write fails: {0}", e.getMessage());
    done.complete(Errno.EIO);
  }

  private void withdraw(DirectWrite write) {
    dropPieces(write.pieces, 0);
    cache.directWrites().withdraw(write);
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
  private void dropPieces(StagedWrites pieces, int from) {
    for (int piece = from; piece < pieces.pieces(); piece++) {
      segments.release(pieces.segment(piece));
      reservedKeys++;
    }
    pieces.dropPieces(from);
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
    publish();
    staged.completeAll(batchErrno);
    batchErrno = 0;
    if (!flushes.isEmpty()) {
      completeFlushes();
    }
    WritePolicy ended = policy;
    policy = null;
    if (ended != null && ended != cache.policy()) {
      cache.wake(); // a change of mode may wait for this
    }
  }

  /**
   * Makes what has been staged visible and, where that is promised, durable, and lets direct writes
   * go; completes nothing else.
   */
  private void publish() {
    if (staged.pieces() == 0 && direct.isEmpty()) {
      return;
    }
    region.drain();
    enterStaged();
    for (int i = 0; i < direct.size(); i++) {
      cache.directWrites().start(direct.get(i));
    }
    direct.clear();
    counters.add(CacheMetrics.Event.COMMITS, 1);
    cache.roomMayHaveCome();
  }

  private void enterStaged() {
    int entered = keys.insert(staged);
    boolean enough = entered == staged.pieces();
    if (fuaStaged || cache.durability() == Durability.ACK) {
      enough &= keys.makeDurable();
    }
    if (!enough) {
      batchErrno = Errno.EIO;
    }
    fuaStaged = false;
    dropPieces(staged, entered);
    staged.dropPieces(0);
  }

  /**
   * Instead of {@link #commit}, for what has been staged of one subtree and is on the backing
   * device already: its keys enter as clean ones. Nobody waits for them to be durable. Called with
   * the subtree's lock held, after a drain.
   */
  void insertClean(Subtree subtree) {
    int piece = 0;
    try {
      for (; piece < staged.pieces(); piece++) {
        keys.insert(subtree, staged, piece, Layout.KEY_FLAG_CLEAN);
      }
    } catch (UncheckedIOException e) {
      LOG.log(Level.WARNING, "what was read is not cached: {0}", e.getMessage());
    }
    dropPieces(staged, piece);
    staged.clear();
  }

  /** Instead of {@link #commit}: gives back what has been staged, and completes nothing. */
  void abandon() {
    dropPieces(staged, 0);
    staged.clear();
    fuaStaged = false;
  }

  private void completeFlushes() {
    int errno = 0;
    // With durable acknowledgements all that had completed is durable already.
    if (cache.durability() == Durability.FLUSH) {
      errno = log.flush();
    }
    BackingFlushes device = cache.directWrites().flushes();
    for (int i = 0; i < flushes.size(); i++) {
      if (errno == 0 && device.isNeeded()) {
        device.flush(flushes.get(i));
      } else {
        flushes.get(i).complete(errno);
      }
    }
    flushes.clear();
  }

  // ---- reads ----

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    miss = null;
    long end = offsetBytes + lengthBytes;
    int errno = 0;
    for (long at = offsetBytes; at < end && errno == 0; ) {
      long subtreeStart = at & -SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + SUBTREE_BYTES);
      errno = readPart(subtreeStart, at, to, address - offsetBytes, done);
      at = to;
    }
    counters.add(CacheMetrics.Event.READ_BYTES, lengthBytes);
    if (miss == null) {
      counters.add(CacheMetrics.Event.READ_HITS, 1);
      done.complete(errno);
    } else {
      counters.add(CacheMetrics.Event.READ_MISSES, 1);
      miss.complete(errno);
      miss = null;
    }
  }

  /**
   * Reads a part of a subtree: copies what is cached, and begins to read the holes between.
   *
   * <p>No lock is held while data is copied, so a segment may be recycled under the copy: its
   * generation tells, and what was copied of it is looked up again.
   *
   * @param addressOfZero where the logical device's first byte would go
   */
  private int readPart(long subtreeStart, long from, long to, long addressOfZero, Completion done) {
    lookUp(subtreeStart, from, to, addressOfZero, done);
    for (int i = 0; i < holes.size(); i++) {
      Fill hole = holes.get(i);
      cache.backing().read(hole.offsetBytes, hole.lengthBytes, hole.address, hole);
    }
    holes.clear();
    int errno = 0;
    for (int i = 0; i < extents.size() && errno == 0; i++) {
      errno = copyOut(extents.get(i), generations[i], addressOfZero + subtreeStart);
      if (errno == RECYCLED) {
        long extentStart = subtreeStart + Extent.startBytes(extents.get(i));
        // The rest of the part from here on is looked up again; holes in it may be read twice.
        return readPart(subtreeStart, extentStart, to, addressOfZero, done);
      }
    }
    return errno;
  }

  /**
   * Finds what is cached of a part of a subtree, with the generations that the segments have now,
   * and registers the holes between as {@link Fills}: {@link #holes} are those to be read.
   */
  private void lookUp(long subtreeStart, long from, long to, long addressOfZero, Completion done) {
    extents.clear();
    Subtree subtree = map.subtree(from);
    int start = Extent.sectorInSubtree(from);
    int end = start + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
    synchronized (subtree) {
      subtree.overlaps(start, end, extents);
      if (generations.length < extents.size()) {
        generations = new long[2 * extents.size()];
      }
      long holeStart = from;
      for (int i = 0; i < extents.size(); i++) {
        long extent = extents.get(i);
        generations[i] = segments.generation(Extent.segment(extent));
        long extentStart = subtreeStart + Extent.startBytes(extent);
        if (holeStart < extentStart) {
          addHole(holeStart, extentStart, addressOfZero, done);
        }
        holeStart = extentStart + Extent.lengthBytes(extent);
      }
      if (holeStart < to) {
        addHole(holeStart, to, addressOfZero, done);
      }
    }
  }

  private void addHole(long from, long to, long addressOfZero, Completion done) {
    if (miss == null) {
      miss = new Miss(done);
    }
    miss.addPart();
    counters.add(CacheMetrics.Event.READ_MISS_BYTES, to - from);
    Fill fill = cache.fills().begin(from, (int) (to - from), addressOfZero + from, miss);
    if (fill != null) {
      holes.add(fill);
    }
  }

  private int copyOut(long extent, long generation, long addressOfSubtree) {
    int segment = Extent.segment(extent);
    long place = segments.dataOffset(segment) + Extent.placeBytes(extent);
    long target = addressOfSubtree + Extent.startBytes(extent);
    try {
      PmemReads.copy(region.view(), place, target, Extent.lengthBytes(extent));
    } catch (PoisonedMemoryException e) {
      return Errno.EIO;
    }
    VarHandle.acquireFence(); // the generation must not be read before the data has been
    return segments.generation(segment) == generation ? 0 : RECYCLED;
  }

  /** Not yet: a hint that is ignored. */
  @Override
  public void prefetch(long offsetBytes, long lengthBytes, Completion done) {
    done.complete(0);
  }

  /** Tells cached from uncached. */
  @Override
  public void describe(long offsetBytes, long lengthBytes, ExtentSink sink) {
    long end = offsetBytes + lengthBytes;
    boolean more = true;
    for (long at = offsetBytes; at < end && more; ) {
      long subtreeStart = at & -SUBTREE_BYTES;
      long to = Math.min(end, subtreeStart + SUBTREE_BYTES);
      more = describePart(subtreeStart, at, to, sink);
      at = to;
    }
  }

  private boolean describePart(long subtreeStart, long from, long to, ExtentSink sink) {
    extents.clear();
    Subtree subtree = map.find(from);
    if (subtree != null) {
      int start = Extent.sectorInSubtree(from);
      synchronized (subtree) {
        subtree.overlaps(start, start + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
      }
    }
    long at = from;
    boolean more = true;
    for (int i = 0; i < extents.size() && more; i++) {
      long start = subtreeStart + Extent.startBytes(extents.get(i));
      more = at == start || sink.extent(start - at, 0);
      more = more && sink.extent(Extent.lengthBytes(extents.get(i)), ExtentSink.CACHED);
      at = start + Extent.lengthBytes(extents.get(i));
    }
    return more && (at == to || sink.extent(to - at, 0));
  }

  @Override
  public void close() {
    direct.forEach(this::withdraw);
    direct.clear();
    dropPieces(staged, 0);
    staged.clear();
    flushes.clear();
    policy = null;
    cache.closed(this);
    log.head().release(reservedKeys);
    reservedKeys = 0;
    counters.close();
    cache.roomMayHaveCome();
  }
}
