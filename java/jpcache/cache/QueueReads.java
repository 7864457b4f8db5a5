package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.invoke.VarHandle;
import java.util.ArrayDeque;
import java.util.Queue;
import jpcache.base.Completion;
import jpcache.base.Crc32c;
import jpcache.base.Errno;
import jpcache.block.Loan;
import jpcache.block.ReadBatch;
import jpcache.extent.Extent;
import jpcache.extent.ExtentList;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.metrics.Counters;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * The reads of one {@link CacheQueue}: what is cached is copied out on the caller's thread, the
 * holes between are read from the backing device.
 *
 * <p>A read that finds all of its bytes takes no lock: what the subtree says is validated by its
 * stamp, and the data by the generation of its segment, which goes up before the first byte can be
 * overwritten. Holes are found and registered with the subtree's lock held.
 *
 * <p>With data crc on, what was copied is compared with the key's data_crc where a read has all of
 * a key. A part has no checksum of its own, and to read all of the key for it would cost up to
 * thousands of times the read.
 *
 * <p>Data that does not fit its checksum or cannot be read never reaches the client. If the backing
 * device has the same, it is read there, and the cache forgets its own; otherwise that request
 * fails with EIO, and so does every other of these bytes until they are written again.
 *
 * <p>Used by one thread at a time; the fields are its scratch space.
 */
final class QueueReads {
  private static final Logger LOG = System.getLogger(QueueReads.class.getName());

  // What copying an extent may end with, beside 0.
  private static final int LOOK_AGAIN = -1;
  private static final int DAMAGED = -2;

  /** In place of an extent. */
  private static final long NOT_FOUND = -1;

  private final Cache cache;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ExtentMap map;
  private final ReadMarks marks;
  private final boolean verifies;
  private final Counters.Stripe<CacheMetrics.Event> counters;
  private final SequentialReads sequential;
  private final Crc32c crc = new Crc32c();

  // What is being read:
  private long offsetBytes;
  private int lengthBytes;
  private long address;
  private final ExtentList extents = new ExtentList();
  private long[] generations = new long[16];
  private final ExtentList scratch = new ExtentList();
  private final Queue<Fill> holes = new ArrayDeque<>();

  /** Of what was looked at only to have it near; kept, or it would not be looked at. */
  @SuppressWarnings("UnusedVariable") // see above
  private long touched;

  /** Set once the read has met a hole. */
  private @Nullable Miss miss;

  /** Whether what the backing device brings may enter the cache. */
  private boolean fills;

  /** Why an extent was {@link #DAMAGED}. */
  private String damage = "";

  private long lastDamagedPlace = -1;

  // Of a batch, the reads that one extent has all of:
  private final long[] hits = new long[ReadBatch.MAX_READS];
  private final long[] hitGenerations = new long[ReadBatch.MAX_READS];
  private final int[] hitCrcs = new int[ReadBatch.MAX_READS];
  private final long[] hitPlaces = new long[ReadBatch.MAX_READS];

  QueueReads(Cache cache, Counters.Stripe<CacheMetrics.Event> counters) {
    this.cache = cache;
    this.counters = counters;
    region = cache.region();
    segments = cache.segments();
    map = cache.map();
    marks = cache.readMarks();
    verifies = cache.dataCrc();
    sequential = new SequentialReads(cache.options().sequentialBytes());
  }

  /**
   * Reads them all. Those that are in one extent each, which most are, go through it side by side:
   * the index is looked at for all of them, then the data of all is sent for, then it is copied. So
   * what memory takes to answer is waited for a few times in all, and not for each read.
   */
  void readAll(ReadBatch batch) {
    boolean together = batch.count() > 1;
    int next = 0;
    try {
      if (together) {
        findHits(batch);
      }
      while (next < batch.count()) {
        boolean hit = together && copyHit(batch, next);
        int i = next++;
        if (!hit) {
          read(batch.offsetBytes(i), batch.lengthBytes(i), batch.address(i), batch.completion(i));
        }
      }
    } finally {
      batch.fail(next, Errno.EIO); // none, unless anything has been thrown
    }
  }

  private void findHits(ReadBatch batch) {
    int count = batch.count();
    for (int i = 0; i < count; i++) {
      long offset = batch.offsetBytes(i);
      Subtree subtree = map.find(offset);
      touched += subtree == null ? 0 : subtree.touch(Extent.sectorInSubtree(offset));
    }
    for (int i = 0; i < count; i++) {
      findHit(i, batch.offsetBytes(i), batch.offsetBytes(i) + batch.lengthBytes(i));
    }
    touched += PmemReads.touch(region.view(), hitPlaces, count);
  }

  private void findHit(int i, long from, long to) {
    boolean hit = findAll(from, to) && extents.size() == 1;
    hits[i] = hit ? extents.get(0) : NOT_FOUND;
    hitPlaces[i] = 0; // there is always something
    if (hit) {
      hitGenerations[i] = generations[0];
      hitCrcs[i] = extents.dataCrc(0);
      hitPlaces[i] = place(hits[i]);
    }
  }

  /** False if it is none, or has to be looked at again. */
  private boolean copyHit(ReadBatch batch, int i) {
    if (hits[i] == NOT_FOUND
        || copy(hits[i], hitGenerations[i], hitCrcs[i], batch.address(i)) != 0) {
      return false;
    }
    counters.add(CacheMetrics.Event.READ_BYTES, batch.lengthBytes(i));
    counters.add(CacheMetrics.Event.READ_HITS, 1);
    batch.completion(i).complete(0);
    return true;
  }

  /**
   * Lends a range whose data lies in one piece. Zeros are not lent, since they need not be sent,
   * nor is what has a checksum to be verified.
   */
  boolean lend(long offsetBytes, int lengthBytes, Loan loan) {
    if (verifies || !findAll(offsetBytes, offsetBytes + lengthBytes) || !isOnePiece()) {
      return false;
    }
    long first = extents.get(0);
    if (cache.zeros().holds(first)
        || !cache
            .lentSegments()
            .lend(Extent.segment(first), generations[0], place(first), lengthBytes, loan)) {
      return false;
    }
    for (int i = 0; i < extents.size(); i++) {
      marks.mark(extents.get(i));
    }
    counters.add(CacheMetrics.Event.READ_BYTES, lengthBytes);
    counters.add(CacheMetrics.Event.READ_HITS, 1);
    return true;
  }

  /** Whether what was found lies in persistent memory as it does on the device. */
  private boolean isOnePiece() {
    for (int i = 1; i < extents.size(); i++) {
      long before = extents.get(i - 1);
      long extent = extents.get(i);
      if (Extent.segment(extent) != Extent.segment(before)
          || generations[i] != generations[0]
          || Extent.place(extent) != Extent.place(before) + Extent.sectors(before)) {
        return false;
      }
    }
    return true;
  }

  void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
    this.address = address;
    miss = null;
    int errno;
    try {
      errno = readParts(done);
    } catch (RuntimeException | Error e) {
      fail(done);
      throw e;
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

  private int readParts(Completion done) {
    long end = offsetBytes + lengthBytes;
    int errno = 0;
    for (long at = offsetBytes; at < end && errno == 0; ) {
      long to = Math.min(end, (at & -SUBTREE_BYTES) + SUBTREE_BYTES);
      errno = readPart(at, to, done);
      at = to;
    }
    return errno;
  }

  /**
   * Something was thrown: the read ends with an error once all that has been asked for has come.
   */
  private void fail(Completion done) {
    for (Fill hole; (hole = holes.poll()) != null; ) {
      hole.complete(Errno.EIO); // others may have joined it
    }
    Completion all = miss == null ? done : miss;
    miss = null;
    all.complete(Errno.EIO);
  }

  /** Reads what lies in one subtree. */
  private int readPart(long from, long to, Completion done) {
    long subtreeStart = from & -SUBTREE_BYTES;
    long at = from;
    while (true) {
      Subtree subtree = map.find(at);
      if (subtree == null || !findAll(subtree, at, to)) {
        find(at, to, done);
        readHoles();
      }
      int errno = 0;
      int i = 0;
      while (i < extents.size() && (errno = copyOut(i, subtreeStart)) == 0) {
        i++;
      }
      if (errno != LOOK_AGAIN) {
        return errno;
      }
      // From here on; holes behind may be read twice.
      at = subtreeStart + Extent.startBytes(extents.get(i));
    }
  }

  /** Finds a range that is cached as a whole and lies in one subtree; false if it does not. */
  private boolean findAll(long from, long to) {
    Subtree subtree = map.find(from);
    return subtree != null
        && to <= (from & -SUBTREE_BYTES) + SUBTREE_BYTES
        && findAll(subtree, from, to);
  }

  /**
   * Finds a part of a subtree that is cached as a whole, with the generations that its segments
   * have now.
   *
   * @return false if it is not, or if somebody has been changing the subtree
   */
  private boolean findAll(Subtree subtree, long from, long to) {
    int start = Extent.sectorInSubtree(from);
    int end = start + (int) ((to - from) >>> Extent.SECTOR_SHIFT);
    extents.clear();
    int stamp = subtree.stamp();
    if (!subtree.peek(start, end, extents) || !subtree.unchangedSince(stamp)) {
      return false;
    }
    makeRoomForGenerations();
    int found = start;
    for (int i = 0; i < extents.size(); i++) {
      long extent = extents.get(i);
      if (Extent.start(extent) != found) {
        return false;
      }
      found = Extent.end(extent);
      generations[i] = segments.generation(Extent.segment(extent));
    }
    return found == end && subtree.unchangedSince(stamp);
  }

  /**
   * Finds what is cached of a part of a subtree, and registers the holes between as {@link Fills}:
   * {@link #holes} are those to be read.
   */
  private void find(long from, long to, Completion done) {
    extents.clear();
    long subtreeStart = from & -SUBTREE_BYTES;
    Subtree subtree = map.subtree(from);
    int start = Extent.sectorInSubtree(from);
    synchronized (subtree) {
      subtree.overlaps(start, start + (int) ((to - from) >>> Extent.SECTOR_SHIFT), extents);
      makeRoomForGenerations();
      long holeStart = from;
      for (int i = 0; i < extents.size(); i++) {
        long extent = extents.get(i);
        generations[i] = segments.generation(Extent.segment(extent));
        long extentStart = subtreeStart + Extent.startBytes(extent);
        if (holeStart < extentStart) {
          addHole(holeStart, extentStart, done);
        }
        holeStart = extentStart + Extent.lengthBytes(extent);
      }
      if (holeStart < to) {
        addHole(holeStart, to, done);
      }
    }
  }

  private void makeRoomForGenerations() {
    if (generations.length < extents.size()) {
      generations = new long[2 * extents.size()];
    }
  }

  private void addHole(long from, long to, Completion done) {
    if (miss == null) {
      miss = new Miss(done);
      fills = sequential.shouldCache(offsetBytes, lengthBytes);
    }
    counters.add(CacheMetrics.Event.READ_MISS_BYTES, to - from);
    int length = (int) (to - from);
    miss.addPart();
    Fill fill;
    try {
      fill = cache.fills().begin(from, length, address + (from - offsetBytes), fills, miss);
    } catch (RuntimeException | Error e) {
      miss.complete(Errno.EIO);
      throw e;
    }
    if (fill != null) {
      holes.add(fill);
    }
  }

  private void readHoles() {
    for (Fill hole; (hole = holes.poll()) != null; ) {
      // Should this throw, the device may have the memory all the same: the read never ends then.
      cache.backing().read(hole.offsetBytes, hole.lengthBytes, hole.address, hole);
    }
  }

  /** Copies an extent that was found; 0, an error, or {@link #LOOK_AGAIN}. */
  private int copyOut(int index, long subtreeStart) {
    long extent = extents.get(index);
    long target = address + (subtreeStart + Extent.startBytes(extent) - offsetBytes);
    int result = copy(extent, generations[index], extents.dataCrc(index), target);
    return result == DAMAGED ? damaged(extent, subtreeStart) : result;
  }

  private long place(long extent) {
    return segments.dataOffset(Extent.segment(extent)) + Extent.placeBytes(extent);
  }

  /**
   * Copies an extent.
   *
   * @param generation what its segment had when it was found
   * @return 0, {@link #LOOK_AGAIN} or {@link #DAMAGED}
   */
  private int copy(long extent, long generation, int dataCrc, long target) {
    long length = Extent.lengthBytes(extent);
    boolean readable = true;
    try {
      PmemReads.copy(region.view(), place(extent), target, length);
    } catch (PoisonedMemoryException e) {
      readable = false;
      damage = String.valueOf(e.getMessage());
    }
    VarHandle.acquireFence(); // the generation must not be read before the data has been
    if (segments.generation(Extent.segment(extent)) != generation) {
      return LOOK_AGAIN;
    }
    if (!readable) {
      return DAMAGED;
    }
    if (verifies && Extent.isWhole(extent)) {
      int found = crc.of(target, (int) length);
      if (found != dataCrc) {
        damage = String.format("data_crc is 0x%08x, must be 0x%08x", found, dataCrc);
        return DAMAGED;
      }
    }
    marks.mark(extent);
    return 0;
  }

  /**
   * The data of an extent is wrong or cannot be read. If all that is still in use of it is clean,
   * it leaves the tree, and the next look finds a hole, which the backing device fills.
   */
  private int damaged(long extent, long subtreeStart) {
    long place = place(extent);
    Subtree subtree = map.subtree(subtreeStart);
    boolean clean;
    synchronized (subtree) {
      clean = subtree.isClean(extent);
      if (clean) {
        cache.keysOutliveExtents();
        subtree.remove(extent, scratch);
      }
    }
    counters.add(CacheMetrics.Event.DAMAGED_READS, 1);
    if (place != lastDamagedPlace) {
      lastDamagedPlace = place;
      long from = subtreeStart + Extent.startBytes(extent);
      LOG.log(
          Level.ERROR,
          "{0}: cached data of logical bytes {1} to {2} at {3}, in segment {4}: {5}; {6}",
          region.name(),
          Long.toString(from),
          Long.toString(from + Extent.lengthBytes(extent)),
          Long.toString(place),
          Integer.toString(Extent.segment(extent)),
          damage,
          clean
              ? "read from the backing device instead"
              : "the backing device does not have it: reads fail until it is written again");
    }
    return clean ? LOOK_AGAIN : Errno.EIO;
  }
}
