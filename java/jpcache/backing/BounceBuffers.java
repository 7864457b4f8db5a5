package jpcache.backing;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Aligned memory for requests that O_DIRECT does not take as they are. A few buffers of each size
 * are kept; what is needed beyond them is allocated and left to the collector afterwards.
 *
 * <p>May be used from any thread.
 */
final class BounceBuffers {
  /** The largest buffer; longer requests pass through one of these in pieces. */
  static final int MAX_BYTES = 1 << 20;

  private static final int MIN_BYTES = 4096;
  private static final long KEPT_BYTES = 16L << 20;

  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  /** Free buffers by the logarithm of their size; guards {@code keptBytes} too. */
  private final List<Deque<MemorySegment>> free = new ArrayList<>();

  private final int leastAlignmentBytes;
  private long keptBytes;

  /**
   * No buffers yet.
   *
   * @param leastAlignmentBytes what all of them are aligned to, however small
   */
  BounceBuffers(int leastAlignmentBytes) {
    this.leastAlignmentBytes = leastAlignmentBytes;
    for (int size = MIN_BYTES; size <= MAX_BYTES; size *= 2) {
      free.add(new ArrayDeque<>((int) (KEPT_BYTES / size))); // giving back needs no memory
    }
  }

  /**
   * A buffer of at least so many bytes, its contents undefined, aligned to any granule that is not
   * larger.
   *
   * @throws OutOfMemoryError if the process may have no more native memory
   */
  MemorySegment take(int bytes) {
    int size = Math.max(MIN_BYTES, Integer.highestOneBit(2 * bytes - 1));
    synchronized (free) {
      MemorySegment buffer = sizeClass(size).poll();
      if (buffer != null) {
        keptBytes -= size;
        return buffer;
      }
    }
    int alignment = Math.min(size, Geometry.MAX_GRANULE_BYTES);
    return Arena.ofAuto().allocate(size, Math.max(alignment, leastAlignmentBytes));
  }

  void give(MemorySegment buffer) {
    synchronized (free) {
      if (keptBytes + buffer.byteSize() <= KEPT_BYTES) {
        keptBytes += buffer.byteSize();
        sizeClass((int) buffer.byteSize()).push(buffer);
      }
    }
  }

  private Deque<MemorySegment> sizeClass(int size) {
    return free.get(Integer.numberOfTrailingZeros(size / MIN_BYTES));
  }

  /** Copies between addresses of native memory. */
  static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }
}
