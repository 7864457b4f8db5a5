package jpcache.pmem;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jpcache.base.UserException;

/**
 * The functions of libpmem that jpcache calls, as each binding ({@link PmemBinding}) offers them:
 * the C functions, with addresses and sizes as plain numbers.
 *
 * <p>Nothing here checks an address: {@link LibpmemRegion} does, before it calls. All methods may
 * be called from any thread; the stores of one thread become durable by the drain of that thread.
 *
 * <p>A page that is gone (poisoned, or beyond the end of a truncated file) is an error of the copy
 * that meets it in its destination, if {@link #guardsCopies}. In the other functions that touch
 * memory, flush and persist, it ends the process; no region calls those. These functions only ever
 * write the region; it is read by {@link PmemReads}.
 */
public interface Libpmem {
  String SONAME = "libpmem.so.1";

  /** PMEM_FILE_CREATE: make the file if it does not exist, of the given length. */
  int CREATE = 1;

  /** PMEM_FILE_EXCL: with CREATE, the file must not exist. */
  int EXCLUSIVE = 2;

  /** What {@link #map} made. */
  record Mapping(long address, long lengthBytes, boolean pmem) {}

  /** Which one this is. */
  PmemBinding binding();

  /**
   * pmem_map_file: maps a file or a devdax device for reading and writing.
   *
   * @param path address of a zero-terminated string
   * @param mappedLength address of a size_t that receives the length, or 0
   * @param isPmem address of an int that receives what {@link #isPmem} would say, or 0
   * @return 0 if it failed; {@link #errorMessage} says why
   */
  long mapFile(long path, long lengthBytes, int flags, int mode, long mappedLength, long isPmem);

  /** pmem_unmap: 0, or -errno. */
  int unmap(long address, long lengthBytes);

  /** pmem_is_pmem: flushing from user space makes stores to the whole range durable. */
  boolean isPmem(long address, long lengthBytes);

  /**
   * Whether the copies survive memory that is gone: they do with native/pmem_guard.c, which is part
   * of {@link OwnLibrary}. Without it they never fail, but end the process.
   */
  boolean guardsCopies();

  /**
   * pmem_memcpy_persist: copies, durable when it returns. The ranges do not overlap.
   *
   * @return 0, or -EFAULT if a page of the destination is gone: any part may have been stored then
   */
  int memcpyPersist(long to, long from, long lengthBytes);

  /**
   * pmem_memcpy_nodrain: copies, durable after this thread's next {@link #drain}.
   *
   * @return as {@link #memcpyPersist}
   */
  int memcpyNodrain(long to, long from, long lengthBytes);

  /** pmem_flush: starts to write back a range, durable after this thread's next {@link #drain}. */
  void flush(long address, long lengthBytes);

  /** pmem_drain: waits for this thread's flushes. */
  void drain();

  /** pmem_persist: flush and drain. */
  void persist(long address, long lengthBytes);

  /** pmem_msync: makes a range of any mapping durable, through the kernel; 0, or -errno. */
  int msync(long address, long lengthBytes);

  /** pmem_errormsg: address of the message that this thread's last failed call left. */
  long errormsg();

  /** {@link #errormsg} as text. */
  default String errorMessage() {
    final int longest = 8192; // libpmem's own bound (MAXPRINT)
    return MemorySegment.ofAddress(errormsg()).reinterpret(longest).getString(0);
  }

  /**
   * {@link #mapFile} in Java's terms.
   *
   * @param name how the message calls the path
   * @param lengthBytes 0 for the whole of an existing file or device
   * @throws UserException with libpmem's words
   */
  default Mapping map(String name, String path, long lengthBytes, int flags, int mode) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment length = arena.allocate(ValueLayout.JAVA_LONG);
      MemorySegment pmem = arena.allocate(ValueLayout.JAVA_INT);
      long address =
          mapFile(
              arena.allocateFrom(path).address(),
              lengthBytes,
              flags,
              mode,
              length.address(),
              pmem.address());
      if (address == 0) {
        throw new UserException(
            name + ": libpmem cannot map it: " + errorMessage().replace(path, name));
      }
      return new Mapping(
          address, length.get(ValueLayout.JAVA_LONG, 0), pmem.get(ValueLayout.JAVA_INT, 0) != 0);
    }
  }
}
