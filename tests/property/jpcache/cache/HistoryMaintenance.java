package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import jpcache.media.Position;

/**
 * The maintenance of a history's cache, with its clock, and what must be so after each step: the
 * backing device alone holds a prefix of the log ({@link PrefixCheck}), where no write goes past
 * it.
 */
final class HistoryMaintenance {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final int MANY_STEPS = 100_000;

  private final HistoryWorld world;
  private final PrefixCheck prefix;
  private final SplittableRandom random;
  private final List<Drain> drains = new ArrayList<>();
  private int stepsLeftOut;
  private long now;

  HistoryMaintenance(HistoryWorld world, PrefixCheck prefix, SplittableRandom random) {
    this.world = world;
    this.prefix = prefix;
    this.random = random;
  }

  /** The cache has been opened, again perhaps. */
  void start() {
    now = System.nanoTime();
    drains.clear();
  }

  /** Nobody waits for it before the end of all that is due. */
  void owes(Drain drain) {
    drains.add(drain);
  }

  void passTime() {
    now += random.nextLong(2 * SECOND);
  }

  /** No retry is further away. */
  void awaitRetries() {
    now += 11 * SECOND;
  }

  /** Whether the cache is filling up because nobody maintains it. */
  boolean isAsleep() {
    return stepsLeftOut > 0;
  }

  /** Now and then the maintenance thread gets no processor for long. */
  void stepUnlessAsleep() {
    if (stepsLeftOut > 0) {
      stepsLeftOut--;
      return;
    }
    step();
    if (random.nextInt(100) == 0) {
      stepsLeftOut = random.nextInt(150);
    }
  }

  private long step() {
    Cache cache = world.cache();
    Tails tails = cache.tails();
    Position dirty = tails.dirtyTail();
    Position oldest = tails.keyTail();
    long errors = cache.maintenance().writeBackErrors();
    long pause = cache.maintenance().step(now);
    HistoryCounts counts = world.counts();
    if (cache.maintenance().writeBackErrors() != errors) {
      prefix.batchFailed();
      if (world.writesDirectly()) {
        world.model().doubt(); // what a failed flush has lost may be theirs
      }
      counts.failedBatches++;
    }
    if (!tails.keyTail().equals(oldest)) {
      counts.collections++;
    }
    if (!tails.dirtyTail().equals(dirty)) {
      if (!world.writesDirectly()) {
        prefix.dirtyTailMoved(dirty, tails.dirtyTail());
      }
      counts.batches++;
      counts.logSegments += dirty.cacheSegment() == tails.dirtyTail().cacheSegment() ? 0 : 1;
    }
    return pause;
  }

  /** Makes room until no write waits for it. Nothing fails meanwhile. */
  void letWritersIn() {
    Backlog backlog = world.cache().backlog();
    stepUntil(
        () -> backlog.isEmpty(),
        pause -> world.require(pause == 0 || backlog.isEmpty(), "writers wait for a clock"));
  }

  /** Brings all that is dirty to the device. Nothing fails meanwhile. */
  void writeAllBack() {
    drains.add(world.cache().drain());
    stepUntil(
        () -> drains.stream().allMatch(Drain::hasEnded),
        pause -> now += pause > 0 ? 10 * SECOND : 0);
    world.require(drains.getLast().errno() == 0, "a drain failed without a fault");
    world.require(world.cache().dirtyBytes() == 0, "a drain left something");
    if (!world.writesDirectly()) {
      prefix.checkAll();
    }
  }

  private interface Pause {
    void after(long nanos);
  }

  private void stepUntil(BooleanSupplier done, Pause pause) {
    for (int steps = 0; !done.getAsBoolean(); steps++) {
      pause.after(step());
      world.require(steps < MANY_STEPS, "maintenance comes to no end");
    }
  }
}
