package jpcache.cache;

import java.util.Arrays;

/**
 * What a device may answer, sector by sector, told by the numbers of writes: each write is under
 * way from one tick to another, a read may give any write that no other has replaced for sure, and
 * once a read has been made with no write under way, its answer stands.
 *
 * <pre>
 *   write 7       |-----|
 *   write 8          |-----|
 *   read                      7 or 8         and from then on only that
 *   write 9                        |-----|
 *   read                              7, 8 (whichever was read) or 9
 * </pre>
 *
 * <p>Any thread; its monitor guards all.
 */
final class HistoryModel {
  static final int NEVER = Integer.MAX_VALUE;

  private final int sectors;
  private int tick = 1;
  private int doubtAt;
  private int writes;

  // By write: when it began and ended, 0 and NEVER before; and whether it must survive.
  private int[] begin = new int[1 << 12];
  private int[] end = new int[1 << 12];
  private boolean[] durable = new boolean[1 << 12];

  // By sector:
  /** What was found for sure, and when. */
  private final int[] known;

  private final int[] knownAt;

  /** The latest begin among writes that have ended well: an older one's data is gone. */
  private final int[] floor;

  /** As the two above, of what survives. */
  private final int[] kept;

  private final int[] keptAt;
  private final int[] durableFloor;

  private final int[] underWay;

  /** When a write last began or ended. */
  private final int[] lastChange;

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
  }

  /** A new write's number. */
  synchronized int number() {
    if (++writes == begin.length) {
      begin = Arrays.copyOf(begin, 2 * writes);
      end = Arrays.copyOf(end, 2 * writes);
      durable = Arrays.copyOf(durable, 2 * writes);
    }
    end[writes] = NEVER;
    return writes;
  }

  synchronized int writes() {
    return writes;
  }

  /** From now on the write may be seen. */
  synchronized void begin(int write, int sector, int count) {
    begin[write] = ++tick;
    for (int s = sector; s < sector + count; s++) {
      underWay[s]++;
      lastChange[s] = tick;
    }
  }

  /** It is seen, unless another one that is newer, or was under way with it, is. */
  synchronized void end(int write, int sector, int count, boolean survives) {
    end[write] = ++tick;
    durable[write] = survives;
    for (int s = sector; s < sector + count; s++) {
      underWay[s]--;
      lastChange[s] = tick;
      floor[s] = Math.max(floor[s], begin[write]);
      if (survives) {
        durableFloor[s] = Math.max(durableFloor[s], begin[write]);
      }
    }
  }

  /** It has failed: any part of it may be seen, now or never. */
  synchronized void fail(int write, int sector, int count) {
    end[write] = ++tick;
    for (int s = sector; s < sector + count; s++) {
      underWay[s]--;
      lastChange[s] = tick;
    }
  }

  /** A write that has ended is durable as well. */
  synchronized void keep(int write, int sector, int count) {
    durable[write] = true;
    for (int s = sector; s < sector + count; s++) {
      durableFloor[s] = Math.max(durableFloor[s], begin[write]);
    }
  }

  synchronized int tick() {
    return tick;
  }

  /** A flush has failed: what was written before may be lost, and no later one changes that. */
  synchronized void doubt() {
    doubtAt = tick;
  }

  /** What a flush that begins now will have made durable. */
  synchronized int[] floors() {
    return floor.clone();
  }

  /** A flush has ended well. */
  synchronized void flushed(int[] floors) {
    for (int s = 0; s < sectors; s++) {
      if (floors[s] > doubtAt) {
        durableFloor[s] = Math.max(durableFloor[s], floors[s]);
      }
    }
  }

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

    /** Whether a sector of the range may be at this write; if so, it is known from now on. */
    boolean allows(int i, int write) {
      synchronized (HistoryModel.this) {
        int s = first + i;
        if (!mayBe(write, knownThen[i], knownAtThen[i], floorThen[i])) {
          return false;
        }
        if (underWay[s] == 0 && lastChange[s] <= at) {
          known[s] = write;
          knownAt[s] = tick;
          if (isDurable(write)) {
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

  private boolean isDurable(int write) {
    return write < durable.length && durable[write];
  }

  private boolean mayBe(int write, int base, int baseAt, int floorThen) {
    if (write == base && floorThen <= baseAt) {
      return true;
    }
    return write > 0 && write <= writes && begin[write] > baseAt && end[write] >= floorThen;
  }

  synchronized Expectation expect(int first, int count) {
    return new Expectation(first, count);
  }

  /**
   * The power was cut, or the process ended; nothing was under way, and a sector has been found at
   * this write.
   *
   * @return whether it may be
   */
  synchronized boolean survived(int sector, int write) {
    return mayBe(write, kept[sector], keptAt[sector], durableFloor[sector]);
  }

  /** The power is cut, so whatever was in doubt comes out. */
  synchronized void powerCut() {
    doubtAt = 0;
  }

  /** Whether a flush has failed since the power was last cut. */
  synchronized boolean isInDoubt() {
    return doubtAt > 0;
  }

  /**
   * What {@link #survived} was asked for is what there is from now on.
   *
   * @param powerCut whether that is also what survives; without a power cut the device may have
   *     shown what it has not made durable, or has forgotten at a flush that failed
   */
  synchronized void restart(int sector, int write, boolean powerCut) {
    known[sector] = write;
    knownAt[sector] = tick;
    underWay[sector] = 0;
    if (powerCut) {
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
