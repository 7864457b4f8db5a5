package jpcache.pmem;

import java.lang.foreign.MemorySegment;

/**
 * A mapped region of persistent memory, addressed by offset from its start.
 *
 * <p>Durability: a store made by {@link #copy} is durable once the <em>same thread</em> has called
 * {@link #drain} afterwards; before that a power cut may keep any subset of it, at 8-byte
 * granularity. {@link #persist} is both in one. No store may be made through {@link #view}.
 *
 * <p>Reading: data is copied out of {@link #view} by {@link PmemReads}, where a poisoned or
 * truncated page is an exception of that copy. A native function or an intrinsic (a checksum, a
 * comparison) that touches such a page ends the process.
 *
 * <p>All methods may be called from any thread. The region must outlive its users: after {@link
 * #close} its addresses are invalid.
 */
public interface PmemRegion extends AutoCloseable {
  /** What becomes of a durable store when the power fails. */
  enum Kind {
    /** Persistent memory, mapped directly: it is kept. */
    REAL,
    /**
     * Ordinary memory that stands in for it: all is lost; what a crash of the process leaves,
     * stays.
     */
    EMULATED,
    /**
     * An ordinary file: kept, but every store goes through the kernel (msync), a hundred times
     * slower.
     */
    NOT_PMEM
  }

  /** How users call it: the path it was mapped from. */
  String name();

  long sizeBytes();

  Kind kind();

  /** Whether a store to memory that is gone is an exception; otherwise it ends the process. */
  default boolean guardsStores() {
    return true;
  }

  /** Where the region begins in this process. */
  long address();

  /**
   * The whole region, read-only; bounds-checked and never closed (a shared arena's liveness check
   * would cost 12 to 88 ns a call).
   */
  MemorySegment view();

  /**
   * Copies native memory into the region, past the CPU caches where that is faster. Offset, source
   * and length may be any. Durable after this thread's next {@link #drain}.
   *
   * @throws IndexOutOfBoundsException if the range is not inside the region
   * @throws java.io.UncheckedIOException if the memory is gone (poisoned or truncated; see {@link
   *     #guardsStores}), of which any part may have been stored; or if the region is {@link
   *     Kind#NOT_PMEM} and the system could not write it, or could not write something before: then
   *     nobody knows what it has lost
   */
  void copy(long offsetBytes, long sourceAddress, long lengthBytes);

  /**
   * Waits until all stores that this thread made by {@link #copy} are durable. It does not fail:
   * what can, is the copy.
   */
  void drain();

  /** {@link #copy} and {@link #drain} in one: durable when this returns; throws as copy does. */
  void persist(long offsetBytes, long sourceAddress, long lengthBytes);

  /** Unmaps the region and gives up its lock. Nobody may use it any more. */
  @Override
  void close();
}
