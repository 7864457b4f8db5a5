package jpcache.pmem;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Copies out of mapped media ({@link PmemRegion#view}, {@link ReadOnlyMapping#view}) into memory of
 * our own, and turns a fault into an exception of that copy.
 *
 * <p>What we found for JDK 25 by truncating a file under its mapping, in the interpreter, C1 and
 * C2, a hundred thousand times each:
 *
 * <table>
 *   <caption>What a SIGBUS does to a Java access</caption>
 *   <tr><th>access of mapped media</th><th>interpreter</th><th>C1</th><th>C2</th></tr>
 *   <tr><td>MemorySegment.copy, of any length</td><td>thrown at once</td><td>thrown at once</td>
 *     <td>thrown late, mostly outside of the try around it</td></tr>
 *   <tr><td>MemorySegment.get</td><td>at once</td><td>late if inlined</td>
 *     <td>late</td></tr>
 *   <tr><td>MemorySegment.mismatch</td><td>at once</td><td>the JVM dies</td>
 *     <td>the JVM dies, if compiled to the stub</td></tr>
 *   <tr><td>java.util.zip.CRC32C and other intrinsics</td><td>the JVM dies</td><td>the JVM dies</td>
 *     <td>the JVM dies</td></tr>
 *   <tr><td>a native function</td><td colspan="3">the JVM dies</td></tr>
 * </table>
 *
 * <p>So media is copied out first, by this class, which makes the JVM deliver a fault before it
 * returns ({@link MemoryFaults}), and only the copy is parsed or summed. That also keeps a value
 * from changing between its check and its use.
 *
 * <p>A copy holds up safepoints for as long as it takes; so one call of the JVM's copies 64 KiB at
 * most. All methods may be called from any thread.
 */
public final class PmemReads {
  private static final long CHUNK_BYTES = 64 << 10;

  private static final long PAGE_BYTES = 4096;

  /** All of the address space: an address is an offset in it. */
  private static final MemorySegment MEMORY = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private PmemReads() {}

  /**
   * Copies to an address of native memory.
   *
   * @throws PoisonedMemoryException if a page of the range cannot be read; what lies at the
   *     destination then is undefined
   * @throws IndexOutOfBoundsException if the range is not inside the view
   */
  public static void copy(MemorySegment view, long offsetBytes, long toAddress, long lengthBytes) {
    copy(view, offsetBytes, MEMORY, toAddress, lengthBytes);
  }

  /**
   * Copies to a segment, of native or Java memory.
   *
   * @throws PoisonedMemoryException if a page of the range cannot be read; what lies at the
   *     destination then is undefined
   * @throws IndexOutOfBoundsException if a range is not inside its segment
   */
  public static void copy(
      MemorySegment view,
      long offsetBytes,
      MemorySegment to,
      long toOffsetBytes,
      long lengthBytes) {
    long done = 0;
    do {
      long n = Math.min(lengthBytes - done, CHUNK_BYTES);
      try {
        MemorySegment.copy(view, offsetBytes + done, to, toOffsetBytes + done, n);
        MemoryFaults.deliver(0);
      } catch (InternalError e) {
        throw new PoisonedMemoryException(firstFault(view, offsetBytes + done, n), e);
      }
      done += n;
    } while (done < lengthBytes);
  }

  /**
   * Reads a byte of each of some places, so that what is there is near when it is copied soon: the
   * waits for memory and for address translation overlap. A fault is left to the copy.
   *
   * @return anything, to be used for something
   */
  public static int touch(MemorySegment view, long[] offsetsBytes, int count) {
    int sum = 0;
    try {
      for (int i = 0; i < count; i++) {
        sum += view.get(ValueLayout.JAVA_BYTE, offsetsBytes[i]);
      }
      MemoryFaults.deliver(sum);
    } catch (InternalError e) {
      return sum;
    }
    return sum;
  }

  /** Whether each page of a range can be read, as far as can be known without reading all of it. */
  public static boolean canRead(MemorySegment view, long offsetBytes, long lengthBytes) {
    int sum = 0;
    try {
      for (long at = offsetBytes; at < offsetBytes + lengthBytes; at = nextPage(view, at)) {
        sum += view.get(ValueLayout.JAVA_BYTE, at);
      }
      MemoryFaults.deliver(sum);
      return true;
    } catch (InternalError e) {
      return false;
    }
  }

  private static long nextPage(MemorySegment view, long offsetBytes) {
    return ((view.address() + offsetBytes) / PAGE_BYTES + 1) * PAGE_BYTES - view.address();
  }

  /** The first byte of a range that cannot be read; its start if by now all can be. */
  private static long firstFault(MemorySegment view, long offsetBytes, long lengthBytes) {
    long at = offsetBytes;
    while (at < offsetBytes + lengthBytes) {
      try {
        MemoryFaults.deliver(view.get(ValueLayout.JAVA_BYTE, at));
      } catch (InternalError e) {
        return at;
      }
      at = nextPage(view, at);
    }
    return offsetBytes;
  }
}
