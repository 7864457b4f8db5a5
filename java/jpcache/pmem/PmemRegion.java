package jpcache.pmem;

import java.lang.foreign.MemorySegment;

/**
 * A mapped region of persistent memory, addressed by offset from its start.
 *
 * <p>Durability: a store made by {@link #copy} is durable once the <em>same thread</em> has called
 * {@link #drain} afterwards; before that a power cut may keep any subset of it, at 8-byte
 * granularity. {@link #persist} is both in one. No store may be made through {@link #view}.
 *
 * <p>Reading: data is copied out through {@link #view}, by Java. A poisoned or truncated page then
 * raises {@link InternalError} at the copy, which the request in question turns into its own
 * failure ({@link PmemReads}); native code or an intrinsic that touched it would end the process.
 *
 * <p>All methods may be called from any thread. The region must outlive its users: after {@link
 * #close} its addresses are invalid.
 */
public interface PmemRegion extends AutoCloseable {
  /** How users call it: the path it was mapped from. */
  String name();

  long sizeBytes();

  /** Where the region begins in this process. */
  long address();

  /**
   * The whole region, for reading; bounds-checked and never closed (a shared arena's liveness check
   * would cost 12 to 88 ns a call).
   */
  MemorySegment view();

  /**
   * Copies native memory into the region, past the CPU caches where that is faster. Offset, source
   * and length may be any. Durable after this thread's next {@link #drain}.
   */
  void copy(long offsetBytes, long sourceAddress, long lengthBytes);

  /** Waits until all stores that this thread made by {@link #copy} are durable. */
  void drain();

  /** {@link #copy} and {@link #drain} in one: durable when this returns. */
  void persist(long offsetBytes, long sourceAddress, long lengthBytes);

  @Override
  void close();
}
