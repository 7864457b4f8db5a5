package jpcache.cache;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import jpcache.base.Errno;
import jpcache.media.Position;
import jpcache.pmem.PoisonedMemoryException;

/**
 * What a cache does besides answering requests: write-back, garbage collection, and the writes that
 * wait for room.
 *
 * <p>Write-back is lazy, so that overwrites coalesce: a batch starts when the data has been dirty
 * for a while, or makes up a share of the cache. Under pressure (writes wait, or more segments are
 * used than the gc percentage) it goes on without a pause. Errors are retried with growing pauses,
 * those of persistent memory that is gone as those of the backing device: whoever waits for a drain
 * is told.
 *
 * <p>Nothing here sleeps: {@link #step} does what is due and says when to call it again. One thread
 * at a time may call it.
 */
public final class Maintenance {
  private static final Logger LOG = System.getLogger(Maintenance.class.getName());

  private static final long MIN_RETRY_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long MAX_RETRY_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** What {@link Durability#FLUSH} may lose at a power cut: as much as the kernel. */
  private static final long KSET_AGE_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** So long after a direct write the backing device is flushed. */
  private static final long DIRECT_AGE_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** Less than one run of the collector frees, so that it keeps up with write-back. */
  private static final long BYTES_TO_COLLECT_AFTER = 16L << 20;

  private final Cache cache;
  private final WriteBack writeBack;
  private final GarbageCollector collector;
  private final CacheQueue backlogQueue;
  private final BatchSize batchSize;
  private final Queue<Drain> drains = new ConcurrentLinkedQueue<>();

  /** All before this place was logged at the mark's time, or earlier. */
  private Position mark;

  private long markNanos;
  private long ksetsClosedNanos;
  private long directSinceNanos;

  /** A flush for direct writes has succeeded: this thread looks whether a mode waits for that. */
  private volatile boolean directWritesVouchedFor;

  private long earnedSinceCollected;
  private long batchBeganNanos;
  private long batchBytes;
  private long retryPauseNanos;
  private long retryAtNanos;
  private boolean collectorFails;

  private volatile boolean stopping;

  // Told by the status; written by the maintenance thread.
  private final AtomicLong writeBackErrors = new AtomicLong();
  private volatile int lastErrno;
  private volatile long bytesPerSecond;

  Maintenance(Cache cache, WriteBack writeBack, GarbageCollector collector, long nowNanos) {
    this.cache = cache;
    this.writeBack = writeBack;
    this.collector = collector;
    backlogQueue = new CacheQueue(cache, 0);
    batchSize = new BatchSize(cache.capacityBytes());
    mark = cache.log().head().position();
    markNanos = nowNanos;
    ksetsClosedNanos = nowNanos;
    directSinceNanos = nowNanos - DIRECT_AGE_NANOS; // at once, if there is anything of before
  }

  /** How often write-back has failed; each time the batch was or will be tried again. */
  public long writeBackErrors() {
    return writeBackErrors.get();
  }

  /** The error of the last batch if it failed, else 0. */
  public int lastErrno() {
    return lastErrno;
  }

  /** How fast the last batch was written back; 0 before the first. */
  public long bytesPerSecond() {
    return bytesPerSecond;
  }

  /**
   * Does one batch of what is due.
   *
   * @param nowNanos as {@link System#nanoTime}
   * @return in how many nanoseconds there is more to do; 0 for at once
   */
  public long step(long nowNanos) {
    if (batchBytes > 0) {
      long nanos = nowNanos - batchBeganNanos;
      batchSize.took(batchBytes, nanos);
      bytesPerSecond = (long) (batchBytes * 1e9 / Math.max(1, nanos));
      batchBytes = 0;
    }
    long next = Math.min(closeAgedKsets(nowNanos), flushDirectWrites(nowNanos));
    if (directWritesVouchedFor) {
      directWritesVouchedFor = false;
      storeMode(); // a drain that ended with an error has left it
    }
    beginDrains(nowNanos);
    boolean got = false;
    if (cache.needsRoom()) {
      got = collect();
      got |= cache.backlog().serve(backlogQueue);
    }
    if (!got || cache.needsRoom()) {
      next = Math.min(next, writeBack(nowNanos));
    }
    return got ? 0 : next;
  }

  /**
   * Steps write nothing back any more, and a batch under way is left between two of its requests:
   * all of it may take a slow device long. Any thread.
   */
  void stopWriteBack() {
    stopping = true;
  }

  /** Writes back everything that was logged before this call, also after a stop. */
  public int writeBackAll() {
    int logErrno = cache.log().flush();
    if (logErrno != 0) {
      return logErrno;
    }
    Position end = cache.log().head().position();
    while (!cache.tails().dirtyTail().equals(end)) {
      int errno = runWriteBack(end, bytes -> {}, () -> false);
      if (errno != 0) {
        failed(errno, System.nanoTime());
        return errno;
      }
    }
    lastErrno = 0;
    return 0;
  }

  private long closeAgedKsets(long nowNanos) {
    if (cache.durability() == Durability.ACK) {
      return Long.MAX_VALUE;
    }
    long dueIn = ksetsClosedNanos + KSET_AGE_NANOS - nowNanos;
    if (dueIn > 0) {
      return dueIn;
    }
    cache.log().flush();
    ksetsClosedNanos = nowNanos;
    return KSET_AGE_NANOS;
  }

  // ---- drains ----

  /** Any thread; the thread that steps is to be woken. */
  Drain drain(boolean storesMode) {
    Drain drain = new Drain(cache.dirtyBytes(), storesMode);
    drains.add(drain);
    return drain;
  }

  /** Finds where those end that have been asked for, once batches in another mode have. */
  private void beginDrains(long nowNanos) {
    if (drains.isEmpty() || !cache.batchesAreCurrent()) {
      return; // the last of those batches wakes this thread
    }
    drains.removeIf(drain -> !drain.hasBegun() && !begin(drain, nowNanos));
    drains.removeIf(this::hasArrived);
  }

  /** False if it has ended instead. */
  private boolean begin(Drain drain, long nowNanos) {
    int errno = cache.log().flush();
    if (errno != 0) {
      drain.complete(errno);
      return false;
    }
    drain.begin(cache.loggedDirtyBytes());
    retryAtNanos = nowNanos; // whoever asks wants to know how it is now
    return true;
  }

  private boolean isDraining() {
    for (Drain drain : drains) {
      if (drain.hasBegun()) {
        return true;
      }
    }
    return false;
  }

  private boolean hasArrived(Drain drain) {
    if (!drain.hasBegun() || !drain.advance(writeBack.writtenBackBytes())) {
      return false;
    }
    boolean stores = drain.storesMode && cache.settings().modeIsToBeStored();
    if (stores && !directWritesHaveEnded()) {
      return false; // the last of them wakes this thread
    }
    BackingFlushes flushes = cache.directWrites().flushes();
    if (flushes.isNeeded() && drain.beginFlush()) {
      flushes.flush(errno -> {
        drain.flushed(errno);
        cache.wake();
      });
    }
    int errno = drain.flushErrno();
    if (errno == Drain.PENDING && flushes.isNeeded()) {
      return false;
    }
    errno = Math.max(errno, 0); // another flush may have been in time
    drain.complete(errno == 0 && stores ? storeMode() : errno);
    return true;
  }

  private static boolean hasFailed(Drain drain, int errno) {
    if (drain.hasBegun()) {
      drain.complete(errno);
    }
    return drain.hasBegun();
  }

  // ---- direct writes ----

  /**
   * Flushes the backing device a second after a direct write, if nobody else has: until then what
   * went past the cache cannot be cached, nor dirty_tail pass the rest.
   */
  private long flushDirectWrites(long nowNanos) {
    BackingFlushes flushes = cache.directWrites().flushes();
    if (!flushes.isDue()) {
      directSinceNanos = nowNanos;
      return Long.MAX_VALUE;
    }
    long dueIn = directSinceNanos + DIRECT_AGE_NANOS - nowNanos;
    if (dueIn > 0) {
      return dueIn;
    }
    directSinceNanos = nowNanos;
    flushes.flush(this::directWritesFlushed);
    return DIRECT_AGE_NANOS;
  }

  private void directWritesFlushed(int errno) {
    if (errno != 0) {
      writeBackErrors.incrementAndGet();
      lastErrno = errno;
    } else {
      directWritesVouchedFor = true;
      cache.wake();
    }
  }

  /** Whether no batch of a mode with direct writes is left, nor anything of one. */
  private boolean directWritesHaveEnded() {
    return cache.batchesAreCurrent() && cache.directWrites().isQuiet();
  }

  /**
   * Makes the mode durable that is in force, if it waits only for direct writes that a flush has
   * vouched for by now. Not from a completion: others wait to be told behind it.
   *
   * @return 0, or the error that kept it from being stored
   */
  private int storeMode() {
    if (!cache.settings().modeIsToBeStored()
        || !directWritesHaveEnded()
        || !cache.directWrites().flushes().areAllVouchedFor()) {
      return 0;
    }
    try {
      cache.settings().storeMode();
      return 0;
    } catch (UncheckedIOException | PoisonedMemoryException e) {
      LOG.log(Level.ERROR, "the mode {0} is not durable: {1}", cache.mode(), e.getMessage());
      return Errno.EIO;
    }
  }

  // ---- write-back ----

  private long writeBack(long nowNanos) {
    if (stopping) {
      return Long.MAX_VALUE;
    }
    Position dirty = cache.tails().dirtyTail();
    if (cache.needsRoom() && dirty.equals(cache.log().head().position())) {
      // Nothing is left to make room of but what is in the open ksets: all of it, perhaps.
      cache.log().flush();
    }
    Position head = cache.log().head().position();
    if (dirty.equals(head)) {
      mark = head;
      markNanos = nowNanos;
      return cache.backlog().isEmpty() ? Long.MAX_VALUE : serveWithoutWriteBack();
    }
    if (retryPauseNanos > 0 && nowNanos - retryAtNanos < 0) {
      return retryAtNanos - nowNanos;
    }
    boolean all =
        cache.needsRoom() || cache.dirtyPercent() >= cache.options().dirtyPercent() || isDraining();
    long ageNanos = TimeUnit.MILLISECONDS.toNanos(cache.options().writeBackAgeMs());
    if (cache.policy().isDirect()) {
      ageNanos = Math.min(ageNanos, DIRECT_AGE_NANOS); // nothing coalesces: it is there already
    }
    if (!all && dirty.equals(mark)) {
      // All up to the mark is done: what has come since gets its own time.
      mark = head;
      markNanos = nowNanos;
    }
    if (!all && nowNanos - markNanos < ageNanos) {
      return markNanos + ageNanos - nowNanos;
    }
    int errno = runWriteBack(all ? head : mark, this::earned, () -> stopping);
    if (errno == WriteBack.LEFT) {
      return Long.MAX_VALUE;
    }
    if (errno != 0) {
      if (retryPauseNanos == 0) {
        LOG.log(
            Level.ERROR,
            "backing {0}: dirty data cannot be written back: {1}; it stays in the cache and is"
                + " tried again until it can be",
            cache.backing().name(),
            Errno.text(errno));
      }
      failed(errno, nowNanos);
      return retryPauseNanos;
    }
    if (retryPauseNanos > 0) {
      LOG.log(Level.INFO, "backing {0}: write-back works again", cache.backing().name());
    }
    batchBeganNanos = nowNanos;
    batchBytes = writeBack.batchBytes();
    retryPauseNanos = 0;
    lastErrno = 0;
    cache.admission().setDeviceFails(false);
    drains.removeIf(this::hasArrived);
    if (all) {
      mark = head;
      markNanos = nowNanos;
    }
    return 0;
  }

  private int runWriteBack(Position end, LongConsumer progress, BooleanSupplier leaves) {
    try {
      return writeBack.run(end, batchSize.bytes(), progress, leaves);
    } catch (UncheckedIOException | PoisonedMemoryException e) {
      if (retryPauseNanos == 0) {
        LOG.log(Level.ERROR, "write-back: {0}", e.getMessage());
      }
      return Errno.EIO;
    }
  }

  /** Whether something was collected; if not because memory is gone, it is told and tried again. */
  private boolean collect() {
    try {
      boolean any = collector.run();
      collectorFails = false;
      return any;
    } catch (UncheckedIOException | PoisonedMemoryException e) {
      if (!collectorFails) {
        LOG.log(Level.ERROR, "garbage collection, tried again: {0}", e.getMessage());
      }
      collectorFails = true;
      return false;
    }
  }

  /** Writes wait, and all that is closed has been written back. */
  private long serveWithoutWriteBack() {
    Position head = cache.log().head().position();
    cache.log().flush();
    if (!cache.log().head().position().equals(head)) {
      return 0; // there was more, in open ksets
    }
    cache.admission().earnEnough();
    return cache.backlog().serve(backlogQueue) ? 0 : Long.MAX_VALUE;
  }

  /**
   * Write-back has got on, and with it those who wait. A batch can take a second; what earlier ones
   * have brought to the device makes room meanwhile.
   */
  private void earned(long bytes) {
    cache.admission().earn(bytes);
    earnedSinceCollected += bytes;
    if (earnedSinceCollected >= BYTES_TO_COLLECT_AFTER && cache.needsRoom()) {
      earnedSinceCollected = 0;
      collect();
    }
    cache.backlog().serve(backlogQueue);
  }

  private void failed(int errno, long nowNanos) {
    writeBackErrors.incrementAndGet();
    lastErrno = errno;
    retryPauseNanos = Math.clamp(2 * retryPauseNanos, MIN_RETRY_NANOS, MAX_RETRY_NANOS);
    retryAtNanos = nowNanos + retryPauseNanos;
    drains.removeIf(drain -> hasFailed(drain, errno));
    cache.admission().setDeviceFails(true);
    cache.backlog().serve(backlogQueue);
  }
}
