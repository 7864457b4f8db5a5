package jpcache.cache;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.Queue;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.block.Loan;
import jpcache.block.ReadBatch;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.Layout;
import jpcache.metrics.Counters;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

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

  /** So much of a zeroed range, at most, on the client's thread: that takes some milliseconds. */
  private static final long ZEROED_BY_CALLER_BYTES = 256L << 30;

  /** A batch does not grow beyond this by zeroed ranges: some of it is published then. */
  private static final int ZERO_KEYS_AT_ONCE = 1024;

  private final Cache cache;
  private final PmemRegion region;
  private final ExtentMap map;
  private final KeyLog log;
  private final Counters.Stripe<CacheMetrics.Event> counters;

  private final StagedWrites staged = new StagedWrites(64);
  private final Staging staging;
  private final DirectStaging direct;
  private final Queue<Completion> flushes = new ArrayDeque<>();
  private final KeyInsertion keys;

  /** What the cache's mode was when the batch's first write came; null before that. */
  private volatile @Nullable WritePolicy policy;

  /** The error that the batch's writes end with. */
  private int batchErrno;

  private boolean fuaStaged;

  /** Since the last time that its prefetches were abandoned. */
  private boolean hasPrefetched;

  private final QueueReads reads;

  CacheQueue(Cache cache, int lane) {
    this.cache = cache;
    region = cache.region();
    map = cache.map();
    log = cache.log();
    keys = new KeyInsertion(cache);
    counters = cache.metrics().open();
    staging = new Staging(cache, lane, counters);
    direct = new DirectStaging(cache, staging);
    reads = new QueueReads(cache, counters);
  }

  // ---- writes ----

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    try {
      stageOrWait(offsetBytes, lengthBytes, address, fua, done);
    } catch (RuntimeException | Error e) {
      done.complete(Errno.EIO); // nothing throws once the write has been taken
      throw e;
    }
  }

  private void stageOrWait(
      long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    WritePolicy mode = policy();
    if (mode.isDirect() && cache.directWrites().isFull()) {
      publish();
      cache.directWrites().awaitRoom();
    }
    Backlog backlog = cache.backlog();
    // Who waits already has waited longer.
    Admission admission = cache.admission();
    boolean admitted = backlog.isEmpty() && admission.admit(lengthBytes);
    if (admitted && stage(mode, offsetBytes, lengthBytes, address, fua, done)) {
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
    return stage(mode, offsetBytes, lengthBytes, address, fua, done)
        || (cache.freeUsedUpLanes() && stage(mode, offsetBytes, lengthBytes, address, fua, done));
  }

  private boolean stage(
      WritePolicy mode,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean fua,
      Completion done) {
    return mode.isDirect()
        ? stageDirect(offsetBytes, lengthBytes, address, fua, mode.cachesWrites(), done)
        : stage(offsetBytes, lengthBytes, address, fua, done);
  }

  /**
   * A key of up to 4 MiB for each subtree, into the {@link ZeroExtents}, in all modes: it costs
   * next to nothing, so write-around keeps it too. A range of which the cache holds nothing goes
   * the same way: in write-back the device must not get it before the writes that were acknowledged
   * earlier, or it would no longer hold a state that its user knows.
   */
  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, boolean unmap, boolean fua, Completion done) {
    ZeroedRange range = new ZeroedRange(offsetBytes, lengthBytes, unmap, fua, done);
    try {
      if (cache.backlog().isEmpty()) {
        stageZeroes(range, ZEROED_BY_CALLER_BYTES);
      }
      if (!range.isStaged()) {
        counters.add(CacheMetrics.Event.WRITES_WAITED, 1);
        publish();
        cache.backlog().add(range);
      }
    } catch (RuntimeException | Error e) {
      if (!range.isStaged()) {
        range.fail(Errno.EIO); // as soon as the parts that have been staged have ended
      }
      throw e;
    }
  }

  /**
   * Takes parts of a zeroed range into the batch as the mode has it, and publishes them now and
   * then.
   *
   * @param mostBytes ends before a part that would begin so far, or farther, behind this call's
   *     first
   * @return whether there was room for any
   */
  boolean stageZeroes(ZeroedRange range, long mostBytes) {
    WritePolicy mode = policy();
    long from = range.partBytes();
    while (!range.isStaged() && range.partBytes() - from < mostBytes) {
      if (mode.isDirect() && cache.directWrites().isFull()) {
        publish();
        cache.directWrites().awaitRoom();
      }
      if (!stagePart(mode, range)) {
        break;
      }
      if (staged.pieces() >= ZERO_KEYS_AT_ONCE) {
        publish();
      }
    }
    return range.partBytes() > from;
  }

  private boolean stagePart(WritePolicy mode, ZeroedRange range) {
    Admission admission = cache.admission();
    int cost = range.partCostBytes();
    if (!admission.admit(cost)) {
      return false;
    }
    Completion part = range.beginPart();
    try {
      long from = range.partBytes();
      long to = range.partEndBytes();
      boolean room =
          mode.isDirect()
              ? direct.stageZeros(from, to, range.unmap, range.fua, part)
              : staging.stageZeros(staged, from, to, range.unmap);
      if (!room) {
        admission.refund(cost);
        part.complete(0); // there was none
        return false;
      }
      if (!mode.isDirect()) {
        fuaStaged |= range.fua;
        staged.addCompletion(part);
      }
      range.partStaged();
    } catch (UncheckedIOException e) {
      fail(part, e);
      range.fail(Errno.EIO);
    } catch (RuntimeException | Error e) {
      part.complete(Errno.EIO);
      throw e;
    }
    return true;
  }

  /**
   * Copies a write's data; its keys follow with the next {@link #commit}.
   *
   * @return false, with nothing left staged of it, if the cache has no room; true otherwise, also
   *     if it has failed and completed
   */
  boolean stage(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    try {
      long end = offsetBytes + lengthBytes;
      if (!staging.stage(staged, offsetBytes, end, address - offsetBytes)) {
        return false;
      }
    } catch (UncheckedIOException e) {
      return fail(done, e);
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
  private boolean stageDirect(
      long offsetBytes, int lengthBytes, long address, boolean fua, boolean all, Completion done) {
    try {
      return direct.stage(offsetBytes, lengthBytes, address, fua, all, done);
    } catch (UncheckedIOException e) {
      return fail(done, e);
    }
  }

  private static boolean fail(Completion done, UncheckedIOException e) {
    LOG.log(Level.ERROR, "a write fails: {0}", e.getMessage());
    done.complete(Errno.EIO);
    return true;
  }

  @Override
  public void flush(Completion done) {
    try {
      flushes.add(done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.EIO);
      throw e;
    }
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
    staging.endBatch();
    if (staged.pieces() == 0 && direct.isEmpty()) {
      return;
    }
    region.drain();
    enterStaged();
    direct.start();
    counters.add(CacheMetrics.Event.COMMITS, 1);
    cache.roomMayHaveCome();
  }

  private void enterStaged() {
    boolean enough = false;
    try {
      enough = keys.insert(staged);
      if (fuaStaged || cache.durability() == Durability.ACK) {
        enough &= keys.makeDurable();
      }
    } finally {
      if (!enough) {
        batchErrno = Errno.EIO;
      }
      fuaStaged = false;
      staging.drop(staged, keys.entered()); // what has entered is the tree's, also after a failure
      staged.dropPieces(0);
    }
  }

  /**
   * Instead of {@link #commit}, for what has been staged of one subtree and is on the backing
   * device already: its keys enter as clean ones. Nobody waits for them to be durable. Called with
   * the subtree's lock held, after a drain.
   */
  void insertClean(Subtree subtree) {
    staging.endBatch();
    int entered = 0;
    try {
      while (entered < staged.pieces()) {
        int piece = entered++; // if anything throws, nobody knows how far it has come
        keys.insert(subtree, staged, piece, Layout.KEY_FLAG_CLEAN);
      }
    } catch (UncheckedIOException e) {
      entered--;
      LOG.log(Level.WARNING, "what was read is not cached: {0}", e.getMessage());
    } finally {
      staging.drop(staged, entered);
      staged.clear();
    }
  }

  /** Instead of {@link #commit}: gives back what has been staged, and completes nothing. */
  void abandon() {
    staging.endBatch();
    staging.drop(staged, 0);
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
    for (Completion done; (done = flushes.poll()) != null; ) {
      if (errno == 0 && device.isNeeded()) {
        device.flushForClient(done);
      } else {
        done.complete(errno);
      }
    }
  }

  // ---- reads ----

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    reads.read(offsetBytes, lengthBytes, address, done);
  }

  @Override
  public void readAll(ReadBatch batch) {
    reads.readAll(batch);
  }

  @Override
  public boolean lend(long offsetBytes, int lengthBytes, Loan loan) {
    return reads.lend(offsetBytes, lengthBytes, loan);
  }

  @Override
  public void prefetch(long offsetBytes, long lengthBytes, Completion done) {
    hasPrefetched = true;
    cache.prefetches().add(offsetBytes, lengthBytes, done, this);
  }

  @Override
  public void abandonPrefetches() {
    if (hasPrefetched) {
      hasPrefetched = false;
      cache.prefetches().abandon(this);
    }
  }

  @Override
  public void describe(long offsetBytes, long lengthBytes, ExtentSink sink) {
    new Description(map, cache.zeros(), cache.backing(), sink).tell(offsetBytes, lengthBytes);
  }

  @Override
  public void close() {
    try {
      direct.abandon(Errno.ESHUTDOWN);
    } finally {
      closeRest();
    }
  }

  private void closeRest() {
    staging.drop(staged, 0);
    staged.completeAll(Errno.ESHUTDOWN);
    for (Completion done; (done = flushes.poll()) != null; ) {
      done.complete(Errno.ESHUTDOWN);
    }
    abandonPrefetches();
    policy = null;
    cache.closed(this);
    staging.close();
    counters.close();
    cache.roomMayHaveCome();
  }
}
