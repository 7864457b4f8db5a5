package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import jpcache.backing.SimBacking;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.block.BlockQueue;
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
 * {@link SimPmem} and {@link SimBacking}, and a {@link SectorBook} of what it has promised.
 *
 * <p>The logical device has a little more than a subtree, and only the sectors at its start and
 * around the subtree's end are used: few enough to look at all of them in every state, and many
 * requests overlap. One thread drives everything.
 */
final class Computer implements AutoCloseable {
  static final int SECTORS = (Layout.SUBTREE_BYTES + (64 << 10)) / SECTOR;

  /** Sectors that are used: a first one, and how many. */
  record Window(int first, int count) {}

  /** The first sector of the second subtree. */
  static final int BOUNDARY = Layout.SUBTREE_BYTES / SECTOR;

  static final List<Window> WINDOWS = List.of(new Window(0, 64), new Window(BOUNDARY - 32, 96));

  static final int QUEUES = 2;
  private static final long CACHE_BYTES = Layout.MIN_DEVICE_BYTES;
  private static final int BUFFER_BYTES = 8 << 20;

  /**
   * How a cache is made and served.
   *
   * @param segments that it uses of those that it has; few are soon used again
   */
  record Setting(
      CacheOptions options, boolean dataCrc, int gcPercent, int segments, CacheMode mode) {
    static final Setting PLAIN =
        new Setting(
            CacheOptions.defaults().withLanes(2).withWriteBack(0, 0),
            false,
            90,
            6,
            CacheMode.WRITE_BACK);

    Setting withDurability(Durability durability) {
      return new Setting(options.withDurability(durability), dataCrc, gcPercent, segments, mode);
    }

    Setting withDataCrc() {
      return new Setting(options, true, gcPercent, segments, mode);
    }

    Setting withMode(CacheMode chosen) {
      return new Setting(options, dataCrc, gcPercent, segments, chosen);
    }

    Setting withWriteBack(int ageMs, int dirtyPercent) {
      return new Setting(
          options.withWriteBack(ageMs, dirtyPercent), dataCrc, gcPercent, segments, mode);
    }

    /** At 0 all that has been written back is collected at once. */
    Setting withGcPercent(int percent) {
      return new Setting(options, dataCrc, percent, segments, mode);
    }
  }

  /** What is left when the power is off and all is durable. */
  record Off(PagedMemory.Image pmem, PagedMemory.Image backing, Knowledge knowledge) {}

  /** What a power cut has left: one of many states. */
  record AfterCut(Remains pmem, SimBacking.Aftermath backing, Knowledge knowledge) {}

  /**
   * What must be so.
   *
   * @param prefix what the backing device alone must hold, up to {@code dirtyTail}
   * @param direct whether writes have gone to the backing device at once, so that it need not
   */
  private record Knowledge(
      SectorBook book, PrefixCheck prefix, Position dirtyTail, boolean direct) {
    Knowledge copy() {
      return new Knowledge(book.copy(), prefix.copy(), dirtyTail, direct);
    }
  }

  final Power power = new Power();
  final SimPmem pmem = new SimPmem(CACHE_BYTES, power);
  final SimBacking backing;
  private final Arena arena = Arena.ofShared();
  final MemorySegment scratch = arena.allocate((long) SECTORS * SECTOR, 4096);
  private Setting setting = Setting.PLAIN;
  private Knowledge known;
  private final PagedMemory.Image blankPmem;
  private final PagedMemory.Image blankBacking;
  private final List<Client> clients = new ArrayList<>();

  /** Writes that wait for room, in their order; the engine may let them in whenever it likes. */
  private final List<Write> waiting = new ArrayList<>();

  private @Nullable Cache cache;
  private long nowNanos;

  Computer(long seed) {
    backing = new SimBacking(SectorModel.firstContent(SECTORS), SECTOR, false, seed, power);
    for (int i = 0; i < QUEUES; i++) {
      clients.add(new Client());
    }
    blankPmem = pmem.save();
    blankBacking = backing.save();
    known = nothingYet("");
  }

  private Knowledge nothingYet(String what) {
    return new Knowledge(
        new SectorBook(SECTORS),
        new PrefixCheck(pmem, backing, SECTORS, what),
        new Position(0, 0),
        setting.mode == CacheMode.WRITE_THROUGH || setting.mode == CacheMode.WRITE_AROUND);
  }

  // ---- on and off ----

  /** A new backing device and an empty cache; the engine does not run. */
  void format(Setting how) {
    dropEngine();
    pmem.load(blankPmem);
    backing.load(blankBacking);
    power.stay();
    setting = how;
    backing.tear(how.mode != CacheMode.WRITE_AROUND); // which passes on what the device does
    known = nothingYet(how.toString());
    MediaFormatter.format(pmem, how.dataCrc, how.mode, how.gcPercent);
    CacheMedia made = media();
    new MetadataWriter(pmem, made.segments())
        .cacheInfo(new CacheInfo(0, how.segments, made.info().flags()));
  }

  Off save() {
    return new Off(pmem.save(), backing.save(), known.copy());
  }

  void load(Off off) {
    dropEngine();
    pmem.load(off.pmem);
    backing.load(off.backing);
    known = off.knowledge.copy();
  }

  /** Starts the engine, if it does not run. */
  void start() {
    if (cache == null) {
      cache = Cache.open(pmem, backing, setting.options);
      clients.forEach(client -> client.open(cache));
      nowNanos = System.nanoTime();
    }
  }

  /** An orderly stop. What a client has not committed is gone. */
  void stop() {
    start();
    backing.releaseReads();
    clients.forEach(Client::close);
    cache().close();
    power.check();
    known.book.allIsDurable();
    dropEngine();
  }

  /** The process is killed; the power lasts. */
  void kill() {
    leaveRunning(afterCut());
  }

  /** The engine is gone, and with it all that is only in its memory. */
  void dropEngine() {
    cache = null;
    waiting.clear();
    clients.forEach(Client::forget);
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
    return pmem.changes() + backing.changes() + known.book.changes();
  }

  /** To be called once after the cut. */
  AfterCut afterCut() {
    waiting.forEach(Write::enters);
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
  }

  // ---- requests and steps; the engine is started if it does not run ----

  Cache cache() {
    start();
    return Objects.requireNonNull(cache);
  }

  SectorBook book() {
    return known.book;
  }

  /** What the backing device alone must hold. */
  void lookAtBackingDevice() {
    lookAtDirtyTail();
    if (!known.direct) {
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
    if (!known.direct) {
      known.prefix.dirtyTailMoved(known.dirtyTail, to);
    }
    known = new Knowledge(known.book, known.prefix, to, known.direct);
    backing.forgetWritten();
  }

  Setting setting() {
    return setting;
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
    commit(0);
    boolean[] done = {false};
    clients.get(0).queue().flush(errno -> done[0] = errno == 0 && !power.isOut());
    clients.get(0).queue().commit();
    power.check();
    require(done[0], "a flush did not complete in its commit");
    known.book.allIsDurable();
  }

  /**
   * Reads some sectors; where the device fails the read may, and where it is slow it ends later.
   */
  void read(int sector, int count) {
    start();
    Read read = new Read(sector, count);
    clients
        .get(0)
        .queue()
        .read((long) sector * SECTOR, count * SECTOR, read.buffer.address(), read);
    power.check();
  }

  /** From now on reads that the device has to answer end later, and tell what it holds now. */
  void holdReads() {
    backing.holdReads();
  }

  void releaseReads() {
    start();
    backing.releaseReads();
    power.check();
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

  void setMode(CacheMode mode) {
    start();
    known = new Knowledge(known.book, known.prefix, known.dirtyTail, true);
    cache().setMode(mode);
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
    known = new Knowledge(known.book, known.prefix, media().dirtyTail(), known.direct);
  }

  private static void require(boolean holds, String claim) {
    if (!holds) {
      throw new AssertionError(claim);
    }
  }

  /** A client of the cache, with a queue and a batch that is not yet committed. */
  private final class Client {
    private final MemorySegment buffer = arena.allocate(BUFFER_BYTES);
    private final List<Write> staged = new ArrayList<>();
    private @Nullable BlockQueue queue;
    private int used;

    void open(Cache opened) {
      queue = opened.openQueue();
    }

    BlockQueue queue() {
      return Objects.requireNonNull(queue);
    }

    void write(int sector, int count, boolean fua) {
      int bytes = count * SECTOR;
      if (used + bytes > BUFFER_BYTES) {
        commit();
      }
      Write write = new Write(sector, count, fua);
      SectorModel.fill(buffer, used, sector, count, write.number);
      int others = cache().backlog().size();
      try {
        queue().write((long) sector * SECTOR, bytes, buffer.address() + used, fua, write);
      } catch (Power.Cut e) {
        haveEntered(); // in case that the write was to wait: then all before it comes first
        throw e;
      }
      if (cache().backlog().size() > others) {
        haveEntered();
        waiting.add(write);
      } else {
        staged.add(write);
      }
      used += bytes;
    }

    void commit() {
      haveEntered(); // or will in a moment: from here on they may be found
      queue().commit();
      require(
          power.isOut() || staged.stream().allMatch(write -> write.completed),
          "a commit left writes");
      forgetBatch();
    }

    void haveEntered() {
      staged.forEach(Write::enters);
    }

    void forgetBatch() {
      staged.clear();
      used = 0;
    }

    void close() {
      if (queue != null) {
        queue.close();
      }
    }

    void forget() {
      queue = null;
      forgetBatch();
    }
  }

  /** What is written past the cache is durable when the device is flushed. */
  private boolean isDurableAtOnce() {
    return setting.options.durability() == Durability.ACK
        && cache().mode() != CacheMode.WRITE_AROUND;
  }

  private final class Write implements Completion {
    private final int number = known.book.nextWrite();
    private final int sector;
    private final int count;
    private final boolean fua;
    private boolean completed;

    Write(int sector, int count, boolean fua) {
      this.sector = sector;
      this.count = count;
      this.fua = fua;
    }

    void enters() {
      known.book.enters(number, sector, count);
    }

    @Override
    public void complete(int errno) {
      if (power.isOut()) {
        return; // nobody hears it
      }
      require(!completed, "a write completed twice");
      completed = true;
      boolean waited = waiting.remove(this);
      if (errno == Errno.ESHUTDOWN && waited) {
        return;
      }
      require(errno == 0, "a write failed with " + errno);
      enters();
      if (fua || isDurableAtOnce()) {
        known.book.isDurable(number, sector, count);
      }
    }
  }

  /** What was visible when it began, or anything that has entered since. */
  private final class Read implements Completion {
    private final MemorySegment buffer;
    private final int sector;
    private final int[] expected;

    Read(int sector, int count) {
      this.sector = sector;
      expected = IntStream.range(sector, sector + count).map(known.book::visible).toArray();
      buffer = Arena.ofAuto().allocate((long) count * SECTOR);
    }

    @Override
    public void complete(int errno) {
      if (errno != 0 || power.isOut()) {
        require(errno == 0 || errno == Errno.EIO, "a read failed with " + errno);
        return;
      }
      for (int i = 0; i < expected.length; i++) {
        int got = SectorModel.versionOf(buffer, (long) i * SECTOR, sector + i);
        require(
            got == expected[i] || known.book.isNewer(got, expected[i]),
            "sector " + (sector + i) + " reads as " + got + ", not " + expected[i]);
      }
    }
  }

  @Override
  public void close() {
    pmem.close();
    backing.close();
    arena.close();
  }
}
