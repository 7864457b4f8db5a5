package jpcache.cache;

import java.util.Arrays;

/**
 * Which writes each sector may be found at after a power cut: the newest that had to be durable, or
 * any that came after it. Which write a sector is of, its bytes say ({@link SectorModel}).
 *
 * <p>"After" is the order in which writes entered the cache, which is that of the log. A write that
 * was handed over and never committed has no place in it, and must not be found.
 */
final class SectorBook {
  private final int[] visible;
  private final int[] durable;

  /** For each write its place in the order, from 1 on; 0 for none. The first content is write 0. */
  private int[] order = new int[256];

  private int entered;
  private int writes;
  private long changes;

  /** A device of sectors that are at write 0. */
  SectorBook(int sectors) {
    this(new int[sectors], new int[sectors]);
  }

  private SectorBook(int[] visible, int[] durable) {
    this.visible = visible;
    this.durable = durable;
  }

  SectorBook copy() {
    SectorBook copy = new SectorBook(visible.clone(), durable.clone());
    copy.order = order.clone();
    copy.entered = entered;
    copy.writes = writes;
    return copy;
  }

  /** The number of the next write. */
  int nextWrite() {
    if (++writes == order.length) {
      order = Arrays.copyOf(order, 2 * writes);
    }
    return writes;
  }

  /** The write enters the cache, or is about to: it may be found from now on. */
  void enters(int write, int sector, int count) {
    if (order[write] == 0) {
      changes++;
      order[write] = ++entered;
      Arrays.fill(visible, sector, sector + count, write);
    }
  }

  /** The write, or one that came after it, must be found from now on. */
  void isDurable(int write, int sector, int count) {
    changes++;
    for (int s = sector; s < sector + count; s++) {
      if (order[durable[s]] < order[write]) {
        durable[s] = write;
      }
    }
  }

  /** So must all that is visible. */
  void allIsDurable() {
    changes++;
    System.arraycopy(visible, 0, durable, 0, visible.length);
  }

  /** Goes up with whatever changes what may be found. */
  long changes() {
    return changes;
  }

  /** What a reader sees of a sector while nothing is cut. */
  int visible(int sector) {
    return visible[sector];
  }

  int durable(int sector) {
    return durable[sector];
  }

  boolean permits(int sector, int write) {
    return write == durable[sector] || isNewer(write, durable[sector]);
  }

  /** Whether a write has entered the cache, and later than another. */
  boolean isNewer(int write, int other) {
    return write > 0 && write <= writes && order[write] > order[other];
  }

  /** A sector has been found at this write, and stays there until it is written again. */
  void found(int sector, int write) {
    visible[sector] = write;
    durable[sector] = write;
  }
}
