package jpcache.cache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * What a device may answer, and what it may be found to hold after a crash, sector by sector, told
 * by the numbers of writes. Each write is under way from one tick to another, a read may give any
 * write that no other has replaced for sure, and once a read has been made with no write under way,
 * its answer stands.
 *
 * <pre>
 *   write 7       |-----|
 *   write 8          |-----|
 *   read                      7 or 8         and from then on only that
 *   write 9                        |-----|
 *   read                              7, 8 (whichever was read) or 9
 * </pre>
 *
 * <p>What survives has the same form with later bounds: what is known to have lasted, and the
 * writes since that had to.
 *
 * <p>Which write a sector is of its bytes say ({@link SectorModel}); only zeros do not. Where zeros
 * are found, some write of zeros must be allowed there.
 *
 * <p>Any thread; the monitor guards all.
 */
final class HistoryModel {
  /** In place of a write: none that is allowed. */
  static final int NONE = -1;

  private static final int NEVER = Integer.MAX_VALUE;

  /** A write of zeros, by its sectors. */
  private record Zeros(int write, int from, int to) {}

  private final int sectors;
  private int tick = 1;
  private int doubtAt;
  private int writes;
  private long changes;

  // By write: when it began and ended, 0 and NEVER before; and whether it must survive.
  private int[] begin = new int[1 << 8];
  private int[] end = new int[1 << 8];
  private final BitSet durable = new BitSet();

  /** Writes of zeros that have begun, in that order. */
  private final List<Zeros> zeroed = new ArrayList<>();

  // By sector:
  /** What was found for sure, and when. */
  private final int[] known;

  private final int[] knownAt;

  /** The latest begin among writes that have ended well: an older one's data is gone. */
  private final int[] floor;

  /** As the three above, of what survives. */
  private final int[] kept;

  private final int[] keptAt;
  private final int[] durableFloor;

  private final int[] underWay;

  /** When a write last began or ended. */
  private final int[] lastChange;

  /** The write of zeros that began last; 0 for none. */
  private final int[] lastZeros;

  /** A device whose first content, write 0, is durable. */
  HistoryModel(int sectors) {
    this.sectors = sectors;
    known = new int[sectors];
    knownAt = new int[sectors];
    floor = new int[sectors];
    kept = new int[sectors];
    keptAt = new int[sectors];
    durableFloor = new int[sectors];
    underWay = new int[sectors];
    lastChange = new int[sectors];
    lastZeros = new int[sectors];
  }

  private HistoryModel(HistoryModel other) {
    sectors = other.sectors;
    tick = other.tick;
    doubtAt = other.doubtAt;
    writes = other.writes;
    changes = other.changes;
    begin = other.begin.clone();
    end = other.end.clone();
    durable.or(other.durable);
    zeroed.addAll(other.zeroed);
    known = other.known.clone();
    knownAt = other.knownAt.clone();
    floor = other.floor.clone();
    kept = other.kept.clone();
    keptAt = other.keptAt.clone();
    durableFloor = other.durableFloor.clone();
    underWay = other.underWay.clone();
    lastChange = other.lastChange.clone();
    lastZeros = other.lastZeros.clone();
  }

  /** What is known so far, to go on from it more than once. */
  synchronized HistoryModel copy() {
    return new HistoryModel(this);
  }

  /** Goes up with whatever changes what may be found. */
  synchronized long changes() {
    return changes;
  }

  // ---- writes ----

  /** A new write's number. */
  synchronized int number() {
    if (++writes == begin.length) {
      begin = Arrays.copyOf(begin, 2 * writes);
      end = Arrays.copyOf(end, 2 * writes);
    }
    end[writes] = NEVER;
    return writes;
  }

  synchronized int writes() {
    return writes;
  }

  /** From now on the write may be seen. */
  synchronized void begin(int write, int sector, int count, boolean zeros) {
    begin[write] = nextTick();
    if (zeros) {
      zeroed.add(new Zeros(write, sector, sector + count));
      Arrays.fill(lastZeros, sector, sector + count, write);
    }
    for (int s = sector; s < sector + count; s++) {
      underWay[s]++;
      lastChange[s] = tick;
    }
  }

  /** It is seen, unless another one that is newer, or was under way with it, is. */
  synchronized void end(int write, int sector, int count, boolean survives) {
    leave(write, sector, count);
    for (int s = sector; s < sector + count; s++) {
      floor[s] = Math.max(floor[s], begin[write]);
    }
    if (survives) {
      keep(write, sector, count);
    }
  }

  /** A write that has ended is durable as well. */
  synchronized void keep(int write, int sector, int count) {
    changes++;
    durable.set(write);
    for (int s = sector; s < sector + count; s++) {
      durableFloor[s] = Math.max(durableFloor[s], begin[write]);
    }
  }

  /** It has failed: any part of it may be seen, now or never. */
  synchronized void fail(int write, int sector, int count) {
    leave(write, sector, count);
  }

  /** It was taken back before anything of it was done: nobody ever sees it. */
  synchronized void withdraw(int write, int sector, int count) {
    leave(write, sector, count);
    begin[write] = 0;
  }

  private void leave(int write, int sector, int count) {
    end[write] = nextTick();
    for (int s = sector; s < sector + count; s++) {
      underWay[s]--;
      lastChange[s] = tick;
    }
  }

  private int nextTick() {
    changes++;
    return ++tick;
  }

  // ---- flushes ----

  /** A flush has failed: what was written before may be lost, and no later one changes that. */
  synchronized void doubt() {
    doubtAt = tick;
  }

  /** Whether a flush has failed since the power was last cut. */
  synchronized boolean isInDoubt() {
    return doubtAt > 0;
  }

  /** What a flush that begins now will have made durable. */
  synchronized int[] floors() {
    return floor.clone();
  }

  /** A flush has ended well. */
  synchronized void flushed(int[] floors) {
    changes++;
    for (int s = 0; s < sectors; s++) {
      if (floors[s] > doubtAt) {
        durableFloor[s] = Math.max(durableFloor[s], floors[s]);
      }
    }
  }

  // ---- reads ----

  /** What reads of some sectors that begin now may give. */
  final class Expectation {
    private final int first;
    private final int at;
    private final int[] knownThen;
    private final int[] knownAtThen;
    private final int[] floorThen;

    private Expectation(int first, int count) {
      this.first = first;
      at = tick;
      knownThen = Arrays.copyOfRange(known, first, first + count);
      knownAtThen = Arrays.copyOfRange(knownAt, first, first + count);
      floorThen = Arrays.copyOfRange(floor, first, first + count);
    }

    int count() {
      return knownThen.length;
    }

    /** Whether a sector of the range may read as this; if so, it is known from now on. */
    boolean allows(int i, int found) {
      synchronized (HistoryModel.this) {
        int s = first + i;
        int write = allowed(s, found, knownThen[i], knownAtThen[i], floorThen[i]);
        if (write == NONE) {
          return false;
        }
        if (underWay[s] == 0 && lastChange[s] <= at) {
          known[s] = write;
          knownAt[s] = tick;
          if (durable.get(write)) {
            kept[s] = write;
            keptAt[s] = tick;
          }
        }
        return true;
      }
    }

    String describe(int i) {
      return "known to be at " + knownThen[i] + " unless written since tick " + floorThen[i];
    }
  }

  synchronized Expectation expect(int first, int count) {
    return new Expectation(first, count);
  }

  /** The write that what was found is of, if a sector may be at it; zeros may be of several. */
  private int allowed(int sector, int found, int base, int baseAt, int floorThen) {
    if (found != SectorModel.ZERO) {
      return mayBe(found, base, baseAt, floorThen) ? found : NONE;
    }
    int newest = lastZeros[sector];
    if (newest > 0 && mayBe(newest, base, baseAt, floorThen)) {
      return newest;
    }
    for (Zeros zeros : zeroed.reversed()) {
      boolean covers = zeros.from <= sector && sector < zeros.to;
      if (covers && mayBe(zeros.write, base, baseAt, floorThen)) {
        return zeros.write;
      }
    }
    return NONE;
  }

  private boolean mayBe(int write, int base, int baseAt, int floorThen) {
    if (write == base && floorThen <= baseAt) {
      return true;
    }
    return write > 0 && write <= writes && begin[write] > baseAt && end[write] >= floorThen;
  }

  // ---- crashes ----

  /** The power is cut, so whatever was in doubt comes out. */
  synchronized void powerCut() {
    doubtAt = 0;
  }

  /**
   * The power was cut, or the process has ended, nothing is under way, and a sector holds this.
   *
   * @return the write that it is of, or {@link #NONE} if it may not be
   */
  synchronized int survivor(int sector, int found) {
    return allowed(sector, found, kept[sector], keptAt[sector], durableFloor[sector]);
  }

  /**
   * What a sector was found to hold is what it has from now on.
   *
   * @param lasts whether that is also what survives; where only the process has ended, a device
   *     with direct writes may show what it has not made durable, or has forgotten
   */
  synchronized void restart(int sector, int write, boolean lasts) {
    known[sector] = write;
    knownAt[sector] = tick;
    underWay[sector] = 0;
    if (lasts) {
      kept[sector] = write;
      keptAt[sector] = tick;
      floor[sector] = 0;
      durableFloor[sector] = 0;
    } else {
      floor[sector] = Math.min(floor[sector], begin[write]); // later ones were lost unflushed
    }
  }

  synchronized String describe(int sector) {
    return "kept "
        + kept[sector]
        + ", durable since tick "
        + durableFloor[sector]
        + ", last known "
        + known[sector];
  }
}
