package jpcache.extent;

import java.util.Arrays;

/** A growing list of extents, for results; reused, it stops allocating. */
public final class ExtentList {
  private long[] extents = new long[16];
  private int size;

  public int size() {
    return size;
  }

  public long get(int index) {
    return extents[index];
  }

  public void clear() {
    size = 0;
  }

  void add(long extent) {
    if (size == extents.length) {
      extents = Arrays.copyOf(extents, 2 * size);
    }
    extents[size++] = extent;
  }
}
