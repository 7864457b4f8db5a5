package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import jpcache.backing.SimBacking;
import jpcache.base.Errno;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;

/**
 * One history of a cache, by seed: requests of several queues, steps of maintenance, faults,
 * changes of mode and settings, stops and crashes. {@link HistoryModel} says what each answer may
 * be, {@link HistoryMedia} looks at what is left behind, and {@link PrefixCheck} compares the
 * backing device with the log where no direct write goes past it.
 *
 * <p>One thread drives it; only the backing device may have another.
 */
final class ModeHistory implements AutoCloseable {
  private static final int MAX_WRITE_SECTORS = (8 << 20) / SECTOR;
  private static final long MAX_OUTSTANDING_BYTES = 40L << 20;
  private static final int QUEUES = 3;
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final Thread driver = Thread.currentThread();
  private final SplittableRandom random;
  private final MemoryRegion region;
  private final Arena arena = Arena.ofShared();
  private final SimBacking backing;
  private final CacheOptions options;
  private final int sectors;
  private final String setting;
  private final boolean changesModes;
  private final HistoryModel model;
  private final HistoryMedia media;
  private final PrefixCheck prefix;
  private final HistoryReads reads;
  private final List<HistoryClient> clients = new ArrayList<>();
  private final List<Drain> drains = new ArrayList<>();
  private final HistoryCounts counts = new HistoryCounts();

  /** Bytes of writes that have been handed over and not answered. */
  private final AtomicLong outstandingBytes = new AtomicLong();

  private Cache cache;

  /** Sits on most of the segments, so that the others are used again and again. */
  private @Nullable CacheQueue hog;

  /** Direct writes may end with the device's error while it is so, or a moment later. */
  private volatile boolean faulty;

  private volatile boolean stopping;
  private volatile @Nullable AssertionError failure;
  private int asleep;
  private long now;

  ModeHistory(long seed, MemoryRegion region) {
    this.region = region;
    random = new SplittableRandom(seed);
    sectors = (random.nextInt(4) == 0 ? 3 << 20 : (8 + random.nextInt(40)) << 20) / SECTOR;
    boolean dataCrc = random.nextBoolean();
    int gcPercent = oneOf(0, 30, 70, 90);
    options =
        CacheOptions.defaults()
            .withLanes(oneOf(1, 2, 4, 16, 64))
            .withDurability(random.nextInt(3) == 0 ? Durability.FLUSH : Durability.ACK)
            .withWriteBack(oneOf(0, 100, 5000), oneOf(0, 5, 25, 100))
            .withSequentialBytes(oneOf(0, 64 << 10, 4 << 20))
            .withKeepPercent(oneOf(0, 50, CacheOptions.MAX_KEEP_PERCENT));
    boolean threaded = random.nextBoolean();
    changesModes = random.nextBoolean();
    CacheMode mode = changesModes ? randomMode() : CacheMode.WRITE_BACK;
    setting =
        String.format(
            "seed %d, %s, gc %d %%, data crc %s, %d sectors, threaded %s, modes %s from %s",
            seed, options, gcPercent, dataCrc, sectors, threaded, changesModes, mode);
    backing = new SimBacking(SectorModel.firstContent(sectors), threaded, random.nextLong());
    backing.tear(!changesModes); // write-around passes on what the device does
    model = new HistoryModel(sectors);
    media = new HistoryMedia(this, region, backing, random, sectors);
    prefix = new PrefixCheck(region, backing, sectors, setting);
    reads = new HistoryReads(this, backing, (long) MAX_WRITE_SECTORS * SECTOR);
    MediaFormatter.format(region, dataCrc, mode, gcPercent);
    media.moveEmptyLogToTheEndOfItsSegment();
    cache = open();
    for (int i = 0; i < QUEUES; i++) {
      clients.add(new HistoryClient(this));
    }
    makeTheCacheSmall();
  }

  private int oneOf(int... choices) {
    return choices[random.nextInt(choices.length)];
  }

  private CacheMode randomMode() {
    List<CacheMode> all = List.of(CacheMode.values());
    return all.get(random.nextInt(all.size()));
  }

  // ---- what the parts of a history share ----

  Cache cache() {
    return cache;
  }

  HistoryModel model() {
    return model;
  }

  HistoryCounts counts() {
    return counts;
  }

  boolean changesModes() {
    return changesModes;
  }

  boolean isFaulty() {
    return faulty;
  }

  Durability durability() {
    return options.durability();
  }

  /** The mode in which batches begin now. */
  CacheMode mode() {
    return cache.mode();
  }

  MemorySegment allocate(long bytes) {
    return arena.allocate(bytes, 4096);
  }

  void outstanding(long bytes) {
    outstandingBytes.addAndGet(bytes);
  }

  void require(boolean holds, String claim) {
    require(holds, () -> claim);
  }

  void require(boolean holds, Supplier<String> claim) {
    if (!holds) {
      AssertionError error =
          new AssertionError(claim.get() + " (" + setting + ", write " + model.writes() + ")");
      failure = error;
      if (Thread.currentThread() == driver) {
        throw error;
      }
      // The device goes on: without its thread the driver could wait for it for ever in the engine.
    }
  }

  /** To be called while waiting for another thread. */
  void spin() {
    throwFailure();
    Thread.onSpinWait();
  }

  private void throwFailure() {
    AssertionError error = failure;
    if (error != null) {
      throw new AssertionError("on another thread", error);
    }
  }

  /** A request of a client's may have failed so, also a moment after the device was healed. */
  void requireFailure(int errno, String what) {
    counts.failedWrites++;
    require(
        (errno == Errno.ESHUTDOWN && stopping) || (errno == Errno.EIO && changesModes),
        () -> "a " + what + " failed with " + errno);
  }

  // ---- what happens ----

  void run(int operations) {
    for (int i = 0; i < operations; i++) {
      throwFailure();
      switch (random.nextInt(100)) {
        case 0, 1 -> flush();
        case 2, 3, 4, 5, 6, 7, 8, 9, 10 -> client().commit();
        case 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 -> stepUnlessAsleep();
        case 22 -> toggleFaults();
        case 23 -> reopenSometimes();
        case 24 -> now += random.nextLong(2 * SECOND);
        case 25 -> changeSettingsSometimes();
        default -> {
          if (random.nextInt(4) == 0) {
            read();
          } else {
            write();
          }
        }
      }
    }
    reopen(true, true);
    writeAllBack();
    throwFailure();
  }

  private HistoryClient client() {
    return clients.get(random.nextInt(QUEUES));
  }

  private int randomSectors() {
    int most =
        switch (random.nextInt(asleep > 0 ? 20 : 100)) {
          case 0 -> MAX_WRITE_SECTORS;
          case 1, 2, 3, 4 -> 2048;
          case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 -> 256;
          default -> 16;
        };
    return 1 + random.nextInt(Math.min(most, sectors));
  }

  private void write() {
    letWritersGoOn();
    int count = randomSectors();
    client().write(random.nextInt(sectors - count + 1), count, random.nextInt(10) == 0);
  }

  private void read() {
    int count = randomSectors();
    int sector = random.nextInt(sectors - count + 1);
    reads.begin(client().queue(), sector, count, random.nextBoolean());
    if (random.nextBoolean()) {
      reads.finish();
    }
  }

  /** With direct writes it is the device's, and may take its time or fail. */
  private void flush() {
    HistoryClient client = client();
    client.commit();
    int[] floors = model.floors();
    boolean[] done = {false};
    client
        .queue()
        .flush(errno -> {
          done[0] = true;
          if (errno == 0) {
            model.flushed(floors);
          } else {
            requireFailure(errno, "flush");
            model.doubt();
          }
        });
    client.queue().commit();
    require(changesModes || done[0], "a flush did not complete in its commit");
  }

  private void changeSettingsSometimes() {
    if (random.nextInt(8) == 0) {
      cache.setGcPercent(oneOf(0, 30, 70, 90));
    }
    if (changesModes && random.nextInt(8) == 0) {
      counts.modeChanges++;
      drains.add(cache.setMode(randomMode()));
    }
  }

  // ---- maintenance ----

  /** Now and then the maintenance thread gets no processor for long: the cache fills up. */
  private void stepUnlessAsleep() {
    if (asleep > 0) {
      asleep--;
      return;
    }
    step();
    if (random.nextInt(100) == 0) {
      asleep = random.nextInt(150);
    }
  }

  private long step() {
    Position before = cache.tails().dirtyTail();
    Position oldest = cache.tails().keyTail();
    long errors = cache.maintenance().writeBackErrors();
    long pause = cache.maintenance().step(now);
    if (cache.maintenance().writeBackErrors() != errors) {
      prefix.batchFailed();
      model.doubt();
      counts.failedBatches++;
    }
    if (!cache.tails().keyTail().equals(oldest)) {
      counts.collections++;
    }
    if (!cache.tails().dirtyTail().equals(before)) {
      if (!changesModes) {
        prefix.dirtyTailMoved(before, cache.tails().dirtyTail());
      }
      counts.batches++;
      if (before.cacheSegment() != cache.tails().dirtyTail().cacheSegment()) {
        counts.logSegments++;
      }
    }
    return pause;
  }

  private void toggleFaults() {
    awaitDirectWrites();
    faulty = random.nextInt(3) == 0;
    backing.fail(faulty ? oneOf(5, 50, 500, 1000) : 0);
  }

  private void heal() {
    awaitDirectWrites();
    faulty = false;
    backing.fail(0);
    now += 11 * SECOND; // no retry is further away
  }

  /** All that has begun has been answered; what waits for a batch of another's has been let go. */
  private void awaitDirectWrites() {
    if (changesModes) {
      clients.forEach(HistoryClient::commit);
      while (!cache.directWrites().isQuiet() || cache.directWrites().flushes().isBusy()) {
        spin();
      }
    }
  }

  /** Where much waits, the next write might be held up, and nobody else would step. */
  private void letWritersGoOn() {
    if (outstandingBytes.get() < MAX_OUTSTANDING_BYTES) {
      return;
    }
    settleRequests();
    for (int step = 0; !cache.backlog().isEmpty(); step++) {
      long pause = step();
      require(pause == 0 || cache.backlog().isEmpty(), "writers wait for a clock");
      require(step < 100_000, "no progress");
    }
    awaitDirectWrites();
  }

  /** Nothing is under way, or holds room, or fails. */
  private void settleRequests() {
    heal();
    reads.finish();
    clients.forEach(HistoryClient::commit);
  }

  private void writeAllBack() {
    settleRequests();
    drains.add(cache.drain());
    for (int step = 0; drains.stream().anyMatch(drain -> !drain.hasEnded()); step++) {
      if (step() > 0) {
        now += 10 * SECOND;
      }
      require(step < 100_000, "write-back makes no progress");
    }
    require(drains.getLast().errno() == 0, "a drain failed without a fault");
    require(cache.dirtyBytes() == 0, "a drain left something");
    if (changesModes) {
      readAll();
      media.checkDeviceAlone(media.scratch());
    } else {
      prefix.checkAll();
    }
  }

  private void readAll() {
    int[] errno = {-1};
    long bytes = (long) sectors * SECTOR;
    clients.getFirst().queue().read(0, (int) bytes, media.scratch().address(), e -> errno[0] = e);
    while (errno[0] < 0) {
      spin();
    }
    require(errno[0] == 0, "a read failed without a fault");
  }

  // ---- stops and crashes ----

  private void reopenSometimes() {
    if (random.nextInt(25) == 0) {
      reopen(random.nextBoolean(), false);
    }
  }

  private void reopen(boolean orderly, boolean wroteAll) {
    reads.finish();
    stopping = true;
    for (HistoryClient client : clients) {
      client.leave(wroteAll || random.nextBoolean());
    }
    if (hog != null) {
      hog.close();
    }
    awaitDirectWrites();
    if (orderly) {
      cache.close();
      if (!changesModes) {
        model.flushed(model.floors());
      }
    } else {
      cache.stopWaiting(); // ends what waits; nothing of it was acknowledged
    }
    require(outstandingBytes.get() == 0, "writes were never answered");
    boolean powerCut = random.nextBoolean();
    if (powerCut) {
      backing.crash();
    }
    boolean wasFaulty = faulty;
    backing.fail(0);
    media.check(cache, orderly, powerCut);
    stopping = false;
    drains.clear();
    cache = open();
    clients.forEach(HistoryClient::comeBack);
    if (random.nextInt(3) > 0) {
      makeTheCacheSmall();
    }
    backing.fail(wasFaulty ? 50 : 0);
  }

  private Cache open() {
    now = System.nanoTime();
    counts.openings++;
    return Cache.open(region, backing, options);
  }

  /** As writes in write-back that are never committed. */
  private void makeTheCacheSmall() {
    hog = (CacheQueue) cache.openQueue();
    int left = 5 + random.nextInt(8);
    // Where room is scarce the hog would have to wait for write-back as everybody does.
    while (!cache.admission().isScarce()
        && cache.segments().usedCount() < cache.segments().count() - left
        && hog.stage(0, 3 << 20, media.scratch().address(), false, errno -> {})) {}
  }

  @Override
  public void close() {
    backing.close();
    arena.close();
  }
}
