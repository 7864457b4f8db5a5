package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Memory for the data of direct writes, aligned as devices like it. A few small buffers are kept;
 * larger ones are allocated and left to the collector.
 *
 * <p>Any thread.
 */
final class WriteBuffers {
  private static final int KEPT_SIZE_BYTES = 128 << 10;
  private static final int KEPT = 64;
  private static final int ALIGNMENT_BYTES = 4096;

  /** As large as it ever gets: who gives a buffer back must not need memory for that. */
  private final Deque<MemorySegment> free = new ArrayDeque<>(KEPT);

  /** A buffer of at least so many bytes, its contents undefined. */
  MemorySegment take(int bytes) {
    if (bytes <= KEPT_SIZE_BYTES) {
      synchronized (free) {
        MemorySegment buffer = free.poll();
        if (buffer != null) {
          return buffer;
        }
      }
    }
    return Arena.ofAuto().allocate(Math.max(bytes, KEPT_SIZE_BYTES), ALIGNMENT_BYTES);
  }

  void give(MemorySegment buffer) {
    if (buffer.byteSize() == KEPT_SIZE_BYTES) {
      synchronized (free) {
        if (free.size() < KEPT) {
          free.push(buffer);
        }
      }
    }
  }
}
