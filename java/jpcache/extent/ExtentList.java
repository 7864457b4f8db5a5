package jpcache.extent;

import java.util.Arrays;

/**
 * A growing list of extents, for results, with the checksum of each where the subtree keeps them;
 * reused, it stops allocating.
 */
public final class ExtentList {
  private long[] extents = new long[16];
  private int[] dataCrcs = new int[16];
  private int size;

  public int size() {
    return size;
  }

  public long get(int index) {
    return extents[index];
  }

  /** The data_crc of an extent that is {@link Extent#isWhole whole}. */
  public int dataCrc(int index) {
    return dataCrcs[index];
  }

  public void clear() {
    size = 0;
  }

  /** Those from one index to another, at the begin of an array with room for more. */
  long[] copyOf(int from, int to, int capacity) {
    long[] copy = new long[capacity];
    System.arraycopy(extents, from, copy, 0, to - from);
    return copy;
  }

  /** The checksums of the same. */
  int[] copyOfCrcs(int from, int to, int capacity) {
    int[] copy = new int[capacity];
    System.arraycopy(dataCrcs, from, copy, 0, to - from);
    return copy;
  }

  void add(long extent, int dataCrc) {
    if (size == extents.length) {
      extents = Arrays.copyOf(extents, 2 * size);
      dataCrcs = Arrays.copyOf(dataCrcs, 2 * size);
    }
    extents[size] = extent;
    dataCrcs[size++] = dataCrc;
  }
}
