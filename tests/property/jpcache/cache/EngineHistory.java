package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import jpcache.backing.SimBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;

/**
 * One history of a cache, by seed: requests of several clients, steps of maintenance, faults of the
 * backing device, changes of mode and settings, stops and crashes. {@link HistoryModel} says what
 * each answer may be, {@link HistoryMedia} looks at what is left behind, {@link HistoryMaintenance}
 * at the backing device.
 *
 * <p>One thread drives it; only the backing device may have another.
 */
final class EngineHistory implements HistoryWorld, AutoCloseable {
  private static final int MAX_SECTORS = (8 << 20) / SECTOR;
  private static final int CLIENT_BUFFER_BYTES = 24 << 20;
  private static final long MAX_OUTSTANDING_BYTES = 40L << 20;
  private static final long LONGEST_ANSWER_NANOS = TimeUnit.SECONDS.toNanos(60);
  private static final int CLIENTS = 3;
  private static final int READS = 3;

  private final Thread driver = Thread.currentThread();
  private final CompletableFuture<Void> broken;
  private final SplittableRandom random;
  private final MemoryRegion region;
  private final Arena arena = Arena.ofShared();
  private final HistorySetting setting;
  private final String name;
  private final SimBacking backing;
  private final MemorySegment scratch;
  private final HistoryModel model;
  private final HistoryMedia media;
  private final HistoryMaintenance maintenance;
  private final HistoryReads reads = new HistoryReads(this);
  private final List<HistoryClient> clients = new ArrayList<>();
  private final HistoryCounts counts = new HistoryCounts();
  private Cache cache;

  /** Sits on most of the segments, so that the others are used again and again. */
  private @Nullable CacheQueue hog;

  /** The device may fail requests; direct writes end with that error now or a moment later. */
  private boolean faulty;

  private volatile boolean stopping;
  private volatile @Nullable Throwable failure;

  /**
   * A history that begins with an empty cache.
   *
   * @param broken ends with what fails on the device's thread: whoever drives the history may wait
   *     in the engine for that thread, for ever
   */
  EngineHistory(long seed, MemoryRegion region, CompletableFuture<Void> broken) {
    this.region = region;
    this.broken = broken;
    random = new SplittableRandom(seed);
    setting = HistorySetting.random(random);
    name = "seed " + seed + ", " + setting;
    int sectors = setting.sectors();
    backing =
        new SimBacking(SectorModel.firstContent(sectors), setting.threaded(), random.nextLong());
    backing.onFailure(this::fail);
    backing.tear(!setting.writesDirectly()); // write-around passes on what the device does
    scratch = arena.allocate((long) sectors * SECTOR, 4096);
    model = new HistoryModel(sectors);
    media = new HistoryMedia(this, region, backing, random, scratch);
    PrefixCheck prefix = new PrefixCheck(region, backing, sectors, name);
    maintenance = new HistoryMaintenance(this, prefix, random);
    MediaFormatter.format(region, setting.dataCrc(), setting.mode(), setting.gcPercent());
    media.moveEmptyLog();
    for (int i = 0; i < CLIENTS; i++) {
      clients.add(new HistoryClient(this, arena.allocate(CLIENT_BUFFER_BYTES, 4096)));
    }
    cache = open();
    clients.forEach(HistoryClient::open);
    makeTheCacheSmall();
  }

  // ---- what the parts of a history ask ----

  @Override
  public Cache cache() {
    return cache;
  }

  @Override
  public HistoryModel model() {
    return model;
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
    return setting.writesDirectly();
  }

  @Override
  public boolean isStopping() {
    return stopping;
  }

  @Override
  public boolean hears() {
    return true;
  }

  @Override
  public void require(boolean holds, Supplier<String> claim) {
    if (holds) {
      return;
    }
    AssertionError error =
        new AssertionError(claim.get() + " (" + name + ", write " + model.writes() + ")");
    if (Thread.currentThread() == driver) {
      throw error;
    }
    failure = error; // the engine's work there is done first: the driver may wait for it
  }

  /** Something was thrown on the device's thread. */
  private void fail(Throwable thrown) {
    AssertionError error = new AssertionError("on the device's thread (" + name + ")", thrown);
    failure = error;
    broken.completeExceptionally(error);
  }

  /** To be called while waiting for another thread. */
  private void spin() {
    throwFailure();
    Thread.onSpinWait();
  }

  private void throwFailure() {
    Throwable thrown = failure;
    if (thrown != null) {
      throw new AssertionError("on another thread", thrown);
    }
  }

  // ---- what happens ----

  void run(int operations) {
    for (int i = 0; i < operations; i++) {
      throwFailure();
      switch (random.nextInt(100)) {
        case 0, 1 -> client().flush();
        case 2, 3, 4, 5, 6, 7, 8, 9, 10 -> client().commit();
        case 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 -> maintenance.stepUnlessAsleep();
        case 22 -> toggleFaults();
        case 23 -> reopenSometimes();
        case 24 -> maintenance.passTime();
        case 25 -> changeSettingsSometimes();
        default -> request();
      }
    }
    reopen(true, true);
    settleRequests();
    maintenance.writeAllBack();
    readAll();
    media.checkDeviceAlone(scratch);
    media.requireSound();
    throwFailure();
  }

  private HistoryClient client() {
    return clients.get(random.nextInt(CLIENTS));
  }

  private void request() {
    int kind = random.nextInt(12);
    if (kind >= 3) {
      letWritersGoOn();
    }
    int count = randomSectors();
    int sector = random.nextInt(setting.sectors() - count + 1);
    switch (kind) {
      case 0, 1, 2 -> read(sector, count);
      case 3 -> client().zero(sector, count, random.nextBoolean(), random.nextInt(10) == 0);
      default -> client().write(sector, count, random.nextInt(10) == 0);
    }
  }

  private int randomSectors() {
    int most =
        switch (random.nextInt(maintenance.isAsleep() ? 20 : 100)) {
          case 0 -> MAX_SECTORS;
          case 1, 2, 3, 4 -> 2048;
          case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 -> 256;
          default -> 16;
        };
    return 1 + random.nextInt(Math.min(most, setting.sectors()));
  }

  private void read(int sector, int count) {
    if (reads.size() == READS) {
      finishReads();
    }
    if (random.nextBoolean()) {
      backing.holdReads();
    }
    reads.begin(client().queue(), sector, count, faulty);
    if (random.nextBoolean()) {
      finishReads();
    }
  }

  private void finishReads() {
    backing.releaseReads();
    reads.finish(this::spin, faulty);
  }

  private void changeSettingsSometimes() {
    if (random.nextInt(8) == 0) {
      cache.setGcPercent(HistorySetting.randomGcPercent(random));
    }
    if (random.nextInt(8) == 0) {
      counts.modeChanges++;
      List<CacheMode> modes = setting.modes();
      maintenance.owes(cache.setMode(modes.get(random.nextInt(modes.size()))));
    }
  }

  // ---- faults ----

  private void toggleFaults() {
    settleDirectWrites();
    faulty = random.nextInt(3) == 0;
    backing.fail(faulty ? HistorySetting.oneOf(random, 5, 50, 500, 1000) : 0);
  }

  private void heal() {
    settleDirectWrites();
    faulty = false;
    backing.fail(0);
    maintenance.awaitRetries();
  }

  /** All that has begun has been answered; what waits for a batch of another's has been let go. */
  private void settleDirectWrites() {
    if (writesDirectly()) {
      clients.forEach(HistoryClient::commit);
      awaitDevice();
    }
  }

  private void awaitDevice() {
    while (!cache.directWrites().isQuiet() || cache.directWrites().flushes().isBusy()) {
      spin();
    }
  }

  /** A direct write leaves the device's order before it is flushed, and its client told. */
  private void awaitAnswers() {
    long end = System.nanoTime() + LONGEST_ANSWER_NANOS;
    while (outstandingBytes() > 0) {
      require(System.nanoTime() < end, "writes were never answered");
      spin();
    }
  }

  /** Where much waits, the next write might be held up, and nobody else would step. */
  private void letWritersGoOn() {
    if (outstandingBytes() >= MAX_OUTSTANDING_BYTES) {
      settleRequests();
      maintenance.letWritersIn();
      settleDirectWrites();
    }
  }

  private long outstandingBytes() {
    return clients.stream().mapToLong(HistoryClient::outstandingBytes).sum();
  }

  /** Nothing is under way, or holds room, or fails. */
  private void settleRequests() {
    heal();
    finishReads();
    clients.forEach(HistoryClient::commit);
  }

  private void readAll() {
    AtomicInteger errno = new AtomicInteger(-1);
    BlockQueue queue = clients.getFirst().queue();
    queue.read(0, setting.sectors() * SECTOR, scratch.address(), errno::set);
    while (errno.get() < 0) {
      spin();
    }
    require(errno.get() == 0, "a read failed without a fault");
  }

  // ---- stops and crashes ----

  private void reopenSometimes() {
    if (random.nextInt(25) == 0) {
      reopen(random.nextBoolean(), false);
    }
  }

  private void reopen(boolean orderly, boolean wroteAll) {
    finishReads();
    stopping = true;
    for (HistoryClient client : clients) {
      client.leave(wroteAll || random.nextBoolean());
    }
    if (hog != null) {
      hog.close();
    }
    awaitDevice();
    if (orderly) {
      cache.close();
      if (!writesDirectly()) {
        model.flushed(model.floors());
      }
    } else {
      cache.stopWaiting(); // ends what waits; nothing of it was acknowledged
    }
    awaitAnswers();
    awaitDevice();
    boolean powerCut = random.nextBoolean();
    if (powerCut) {
      backing.crash();
    } else {
      backing.dropForgotten(); // the next process could not know
    }
    model.doubtEnds();
    boolean wasFaulty = faulty;
    backing.fail(0);
    media.check(cache, orderly, powerCut || !writesDirectly());
    stopping = false;
    cache = open();
    clients.forEach(HistoryClient::open);
    if (random.nextInt(3) > 0) {
      makeTheCacheSmall();
    }
    backing.fail(wasFaulty ? 50 : 0);
  }

  private Cache open() {
    counts.openings++;
    maintenance.start();
    return Cache.open(region, backing, setting.options());
  }

  /** As writes in write-back that are never committed. */
  private void makeTheCacheSmall() {
    hog = (CacheQueue) cache.openQueue();
    int left = 5 + random.nextInt(8);
    // Where room is scarce the hog would have to wait for write-back as everybody does.
    while (!cache.admission().isScarce()
        && cache.segments().usedCount() < cache.segments().count() - left
        && hog.stage(0, 3 << 20, scratch.address(), false, errno -> {})) {}
  }

  @Override
  public void close() {
    backing.close();
    arena.close();
  }
}
