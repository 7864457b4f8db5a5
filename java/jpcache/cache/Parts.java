package jpcache.cache;

import java.util.Arrays;

/** Pieces of the logical device and where in the region their data is; reused. */
final class Parts {
  private long[] offsets = new long[16];
  private long[] places = new long[16];
  private int[] lengths = new int[16];
  private int size;

  int size() {
    return size;
  }

  void clear() {
    size = 0;
  }

  void add(long offsetBytes, long place, int lengthBytes) {
    if (size == offsets.length) {
      offsets = Arrays.copyOf(offsets, 2 * size);
      places = Arrays.copyOf(places, 2 * size);
      lengths = Arrays.copyOf(lengths, 2 * size);
    }
    offsets[size] = offsetBytes;
    places[size] = place;
    lengths[size++] = lengthBytes;
  }

  long offsetBytes(int part) {
    return offsets[part];
  }

  /** From the region's begin. */
  long place(int part) {
    return places[part];
  }

  int lengthBytes(int part) {
    return lengths[part];
  }
}
