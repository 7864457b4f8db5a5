package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import jpcache.backing.SimBacking;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.pmem.Remains;
import jpcache.pmem.SimPmem;
import jpcache.support.PagedMemory;
import jpcache.support.Power;
import org.jspecify.annotations.Nullable;

/**
 * A computer with a cache and a backing device whose power can be cut anywhere: the real engine on
 * {@link SimPmem} and {@link SimBacking}, and a {@link HistoryModel} of what it has promised.
 *
 * <p>The logical device has a little more than a subtree, and only the sectors at its start and
 * around the subtree's end are used: few enough to look at all of them in every state, and many
 * requests overlap. One thread drives everything.
 */
final class Computer implements HistoryWorld, AutoCloseable {
  static final int SECTORS = (Layout.SUBTREE_BYTES + (64 << 10)) / SECTOR;

  /** Sectors that are used: a first one, and how many. */
  record Window(int first, int count) {}

  /** The first sector of the second subtree. */
  static final int BOUNDARY = Layout.SUBTREE_BYTES / SECTOR;

  static final List<Window> WINDOWS = List.of(new Window(0, 64), new Window(BOUNDARY - 32, 96));

  static final int QUEUES = 2;
  private static final long CACHE_BYTES = Layout.MIN_DEVICE_BYTES;
  private static final int BUFFER_BYTES = 8 << 20;

  /** What is left when the power is off and all is durable. */
  record Off(PagedMemory.Image pmem, PagedMemory.Image backing, Knowledge knowledge) {}

  /** What a power cut has left: one of many states. */
  record AfterCut(Remains pmem, SimBacking.Aftermath backing, Knowledge knowledge) {}

  /**
   * What must be so.
   *
   * @param prefix what the backing device alone must hold, up to {@code dirtyTail}, unless writes
   *     go to it at once
   */
  private record Knowledge(HistoryModel model, PrefixCheck prefix, Position dirtyTail) {
    Knowledge copy() {
      return new Knowledge(model.copy(), prefix.copy(), dirtyTail);
    }

    Knowledge withDirtyTail(Position moved) {
      return new Knowledge(model, prefix, moved);
    }
  }

  final Power power = new Power();
  final SimPmem pmem = new SimPmem(CACHE_BYTES, power);
  final SimBacking backing;
  private final Arena arena = Arena.ofShared();
  final MemorySegment scratch = arena.allocate((long) SECTORS * SECTOR, 4096);
  private CutSetting setting = CutSetting.PLAIN;
  private Knowledge known;
  private final PagedMemory.Image blankPmem;
  private final PagedMemory.Image blankBacking;
  private final List<HistoryClient> clients = new ArrayList<>();
  private final HistoryReads reads = new HistoryReads(this);
  private final HistoryCounts counts = new HistoryCounts();
  private boolean stopping;
  private boolean holdingReads;

  /** Whether what is found now survives the next power cut as well. */
  private boolean findingsLast = true;

  private @Nullable Cache cache;
  private long nowNanos;

  Computer(long seed) {
    backing = new SimBacking(SectorModel.firstContent(SECTORS), SECTOR, false, seed, power);
    for (int i = 0; i < QUEUES; i++) {
      clients.add(new HistoryClient(this, arena.allocate(BUFFER_BYTES, 4096)));
    }
    blankPmem = pmem.save();
    blankBacking = backing.save();
    known = nothingYet("");
  }

  private Knowledge nothingYet(String what) {
    return new Knowledge(
        new HistoryModel(SECTORS),
        new PrefixCheck(pmem, backing, SECTORS, what),
        new Position(0, 0));
  }

  // ---- on and off ----

  /** A new backing device and an empty cache; the engine does not run. */
  void format(CutSetting how) {
    dropEngine();
    pmem.load(blankPmem);
    backing.load(blankBacking);
    power.stay();
    setting = how;
    backing.tear(how.mode() != CacheMode.WRITE_AROUND); // which passes on what the device does
    findingsLast = true;
    known = nothingYet(how.toString());
    MediaFormatter.format(pmem, how.dataCrc(), how.mode(), how.gcPercent());
    CacheMedia made = media();
    new MetadataWriter(pmem, made.segments())
        .cacheInfo(new CacheInfo(0, how.segments(), made.info().flags()));
  }

  Off save() {
    return new Off(pmem.save(), backing.save(), known.copy());
  }

  void load(Off off) {
    dropEngine();
    pmem.load(off.pmem);
    backing.load(off.backing);
    known = off.knowledge.copy();
    findingsLast = true;
  }

  /** Starts the engine, if it does not run. */
  void start() {
    if (cache == null) {
      cache = Cache.open(pmem, backing, setting.options());
      clients.forEach(HistoryClient::open);
      findingsLast = !writesDirectly();
      nowNanos = System.nanoTime();
    }
  }

  /** An orderly stop. What a client has not committed is gone. */
  void stop() {
    releaseReads();
    stopping = true;
    clients.forEach(client -> client.leave(false));
    cache().close();
    power.check();
    if (!writesDirectly()) {
      known.model.flushed(known.model.floors());
    }
    dropEngine();
    backing.dropForgotten(); // the next process could not know
    known.model.doubtEnds();
  }

  /** The engine is gone, and with it all that is only in its memory. */
  void dropEngine() {
    cache = null;
    stopping = false;
    holdingReads = false;
    reads.forget();
    clients.forEach(HistoryClient::cutOff);
  }

  /**
   * Lets something happen until it is done or the power is cut.
   *
   * @return whether it was cut
   */
  boolean isCut(Runnable deed) {
    try {
      deed.run();
    } catch (Power.Cut e) {
      return true;
    } catch (UserException e) {
      if (!power.isOut()) {
        throw e;
      }
    }
    return power.isOut();
  }

  /** Goes up with whatever changes what a power cut may leave, and what must then be so. */
  long changes() {
    return pmem.changes() + backing.changes() + known.model.changes();
  }

  /** To be called once after the cut. */
  AfterCut afterCut() {
    known.prefix.excuse(backing.written());
    dropEngine();
    return new AfterCut(pmem.remains(), backing.aftermath(), known);
  }

  /** The power is back; what it has left is one state, which the seed chooses of the device's. */
  void leave(AfterCut after, Remains.State state, SplittableRandom chance) {
    dropEngine();
    after.pmem.leave(state);
    after.backing.leave(chance);
    power.stay();
    known = after.knowledge.copy();
    known.model.doubtEnds();
    findingsLast = true;
  }

  /**
   * It was the process that died, and not the power that went: what it has stored is all there,
   * though nobody will drain it any more.
   */
  void leaveRunning(AfterCut after) {
    dropEngine();
    after.pmem.leaveUndrained();
    after.backing.leaveUnflushed();
    power.stay();
    known = after.knowledge.copy();
    known.model.doubtEnds();
    findingsLast = !writesDirectly();
  }

  // ---- requests and steps; the engine is started if it does not run ----

  @Override
  public Cache cache() {
    start();
    return Objects.requireNonNull(cache);
  }

  @Override
  public HistoryModel model() {
    return known.model;
  }

  @Override
  public HistoryCounts counts() {
    return counts;
  }

  @Override
  public Durability durability() {
    return setting.options().durability();
  }

  @Override
  public boolean writesDirectly() {
    return setting.direct();
  }

  @Override
  public boolean isStopping() {
    return stopping;
  }

  @Override
  public boolean hears() {
    return !power.isOut();
  }

  @Override
  public void require(boolean holds, Supplier<String> claim) {
    if (!holds) {
      throw new AssertionError(claim.get());
    }
  }

  /** Whether what is found now survives the next power cut: see {@link HistoryModel#restart}. */
  boolean findingsLast() {
    return findingsLast;
  }

  /** What the backing device alone must hold. */
  void lookAtBackingDevice() {
    lookAtDirtyTail();
    if (!writesDirectly()) {
      WINDOWS.forEach(window -> known.prefix.check(window.first, window.count));
    }
  }

  /** Who moves dirty_tail without the engine says so, after each batch. */
  void lookAtDirtyTail() {
    Position now = media().dirtyTail();
    if (!now.equals(known.dirtyTail)) {
      dirtyTailMoved(now);
    }
  }

  /** dirty_tail has moved: looks at what has been written back. */
  private void dirtyTailMoved(Position to) {
    if (!writesDirectly()) {
      known.prefix.dirtyTailMoved(known.dirtyTail, to);
    }
    known = known.withDirtyTail(to);
    backing.forgetWritten();
  }

  CacheMedia media() {
    return CacheMedia.read(pmem.name(), pmem.view());
  }

  /** Writes some sectors; durable, if that is promised at all, after a commit. */
  void write(int queue, int sector, int count, boolean fua) {
    start();
    clients.get(queue).write(sector, count, fua);
    power.check();
  }

  /** Zeroes some sectors, or discards them. */
  void zero(int queue, int sector, int count, boolean unmap, boolean fua) {
    start();
    clients.get(queue).zero(sector, count, unmap, fua);
    power.check();
  }

  void commit(int queue) {
    start();
    clients.get(queue).commit();
    power.check();
  }

  /** A write of one client, committed. */
  void put(int sector, int count) {
    write(0, sector, count, false);
    commit(0);
  }

  void flush() {
    start();
    clients.get(0).flush();
    power.check();
  }

  /**
   * Reads some sectors; where the device fails the read may, and where it is slow it ends later.
   */
  void read(int sector, int count) {
    start();
    reads.begin(clients.get(0).queue(), sector, count, true);
    power.check();
    finishReads();
  }

  /** From now on reads that the device has to answer end later, and tell what it holds now. */
  void holdReads() {
    holdingReads = true;
    backing.holdReads();
  }

  void releaseReads() {
    start();
    holdingReads = false;
    backing.releaseReads();
    power.check();
    finishReads();
  }

  private void finishReads() {
    if (!holdingReads) {
      reads.finish(() -> require(false, "a read is not answered"), true);
    }
  }

  /** One step of maintenance, so much later. Returns in how many nanoseconds the next is due. */
  long step(long afterMs) {
    Cache running = cache();
    nowNanos += TimeUnit.MILLISECONDS.toNanos(afterMs);
    Position before = running.tails().dirtyTail();
    long errors = running.maintenance().writeBackErrors();
    long dueIn = running.maintenance().step(nowNanos);
    power.check();
    if (running.maintenance().writeBackErrors() != errors) {
      known.prefix.excuse(backing.written());
      if (writesDirectly()) {
        known.model.doubt(); // what a failed flush has lost may be theirs
      }
    }
    if (!running.tails().dirtyTail().equals(before)) {
      dirtyTailMoved(running.tails().dirtyTail());
      known.prefix.noMoreExcuses();
    }
    return dueIn;
  }

  /** Steps until everything is written back and collected that may be. */
  void settle() {
    long dueIn = step(20_000);
    for (int steps = 0; dueIn < Long.MAX_VALUE; steps++) {
      require(steps < 1000, "maintenance comes to no end");
      Position dirty = cache().tails().dirtyTail();
      if (dueIn > 0 && dirty.equals(cache().log().head().position())) {
        return;
      }
      dueIn = step(20_000);
    }
  }

  /** To another mode; one with direct writes only if the setting says that there are some. */
  void setMode(CacheMode mode) {
    require(writesDirectly() || !CutSetting.isDirect(mode), "direct writes are not expected");
    if (mode == CacheMode.WRITE_AROUND) {
      backing.tear(false);
    }
    cache().setMode(mode);
    counts.modeChanges++;
    power.check();
  }

  void setGcPercent(int percent) {
    cache().setGcPercent(percent);
    power.check();
  }

  /** Where the log ends. */
  Position head() {
    return LogReplay.run(media(), backing.sizeBytes(), (kset, key) -> {}).head();
  }

  /**
   * Moves an empty log, of an engine that does not run, to so many bytes before its segment's end.
   */
  void moveEmptyLog(int leftBytes) {
    EmptyLog.moveToTheEnd(pmem, leftBytes);
    logHasBeenMoved();
  }

  /** A test has moved an empty log. */
  void logHasBeenMoved() {
    known = known.withDirtyTail(media().dirtyTail());
  }

  @Override
  public void close() {
    pmem.close();
    backing.close();
    arena.close();
  }
}
