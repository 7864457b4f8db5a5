package jpcache.nbd;

import static java.nio.ByteOrder.BIG_ENDIAN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import jpcache.base.Errno;
import jpcache.base.Posix;

/**
 * Memory outside the heap, by address: what sockets receive into and send from.
 *
 * <p>It comes from mmap and goes back by munmap: whole pages that cost nothing until they are
 * touched, and that the system has back at once. Nothing checks an address; whoever allocates keeps
 * its bounds, and frees only when no request can touch it any more.
 */
final class NativeMemory {
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  private static final int PAGE_BYTES = 4096;
  private static final AtomicLong IN_USE = new AtomicLong();

  private static final ValueLayout.OfShort NET_SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(BIG_ENDIAN);
  private static final ValueLayout.OfInt NET_INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(BIG_ENDIAN);
  private static final ValueLayout.OfLong NET_LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(BIG_ENDIAN);

  private NativeMemory() {}

  /** The bytes that {@link #allocate} takes for a request of so many: whole pages. */
  static long wholePages(long bytes) {
    return (bytes + PAGE_BYTES - 1) & -PAGE_BYTES;
  }

  /**
   * Zeroed memory of {@link #wholePages} bytes.
   *
   * @throws OutOfMemoryError if the system has none
   */
  static long allocate(long bytes) {
    long size = wholePages(bytes);
    long address =
        Posix.mmap(
            size,
            Posix.PROT_READ | Posix.PROT_WRITE,
            Posix.MAP_PRIVATE | Posix.MAP_ANONYMOUS,
            -1,
            0);
    if (address < 0) {
      throw new OutOfMemoryError("mmap of " + size + " bytes: " + Errno.text((int) -address));
    }
    IN_USE.addAndGet(size);
    return address;
  }

  /** Gives back what {@link #allocate} gave for the same number of bytes. */
  static void free(long address, long bytes) {
    long size = wholePages(bytes);
    Posix.munmap(address, size);
    IN_USE.addAndGet(-size);
  }

  /** What is allocated and not freed, by all servers of the process. */
  static long inUseBytes() {
    return IN_USE.get();
  }

  static short netShort(long address) {
    return ALL.get(NET_SHORT, address);
  }

  static int netInt(long address) {
    return ALL.get(NET_INT, address);
  }

  static long netLong(long address) {
    return ALL.get(NET_LONG, address);
  }

  static void netShort(long address, short value) {
    ALL.set(NET_SHORT, address, value);
  }

  static void netInt(long address, int value) {
    ALL.set(NET_INT, address, value);
  }

  static void netLong(long address, long value) {
    ALL.set(NET_LONG, address, value);
  }

  /** In the machine's own byte order, as system calls have it. */
  static short hostShort(long address) {
    return ALL.get(ValueLayout.JAVA_SHORT_UNALIGNED, address);
  }

  static void hostShort(long address, short value) {
    ALL.set(ValueLayout.JAVA_SHORT_UNALIGNED, address, value);
  }

  static int hostInt(long address) {
    return ALL.get(ValueLayout.JAVA_INT_UNALIGNED, address);
  }

  static void hostInt(long address, int value) {
    ALL.set(ValueLayout.JAVA_INT_UNALIGNED, address, value);
  }

  static long hostLong(long address) {
    return ALL.get(ValueLayout.JAVA_LONG_UNALIGNED, address);
  }

  static void hostLong(long address, long value) {
    ALL.set(ValueLayout.JAVA_LONG_UNALIGNED, address, value);
  }

  /** Copies; the ranges may overlap. */
  static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }

  static void copy(byte[] from, int fromIndex, long to, int bytes) {
    MemorySegment.copy(from, fromIndex, ALL, ValueLayout.JAVA_BYTE, to, bytes);
  }

  static void copy(long from, byte[] to, int toIndex, int bytes) {
    MemorySegment.copy(ALL, ValueLayout.JAVA_BYTE, from, to, toIndex, bytes);
  }

  /** A big-endian view of memory, for code that is not on a hot path. */
  static ByteBuffer view(long address, long bytes) {
    return ALL.asSlice(address, bytes).asByteBuffer();
  }
}
