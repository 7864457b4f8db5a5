package jpcache.nbd;

/**
 * The memory that a connection receives into: whole requests are handled where they lie, and a
 * write goes to the device from here.
 *
 * <pre>
 *   address       start                end              capacity
 *   +-------------+--------------------+----------------+
 *   |   handled   | arrived, unhandled |      room      |
 *   +-------------+--------------------+----------------+
 * </pre>
 *
 * It grows while a request that does not fit is arriving, and {@link #shrink} takes it back to its
 * first size. Used by the connection's thread alone.
 */
final class ReceiveBuffer implements AutoCloseable {
  static final int BASE_BYTES = 256 << 10;

  /** Moving so little costs less than a system call more. */
  private static final int CHEAP_MOVE_BYTES = 4096;

  private long address = NativeMemory.allocate(BASE_BYTES);
  private int capacity = BASE_BYTES;
  private int start;
  private int end;

  /** What has arrived and was not taken. */
  int available() {
    return end - start;
  }

  /** Where that begins. */
  long readAddress() {
    return address + start;
  }

  /** Where more can be received to. */
  long writeAddress() {
    return address + end;
  }

  int room() {
    return capacity - end;
  }

  void received(int bytes) {
    end += bytes;
  }

  void take(int bytes) {
    start += bytes;
    if (start == end) {
      start = 0;
      end = 0;
    }
  }

  /** Sees to it that what has arrived can grow to {@code bytes}, more than have arrived. */
  void makeRoomFor(int bytes) {
    if (bytes > capacity) {
      int larger = (int) NativeMemory.wholePages(bytes);
      long moved = NativeMemory.allocate(larger);
      NativeMemory.copy(readAddress(), moved, available());
      replaceBy(moved, larger);
    } else if (start > 0 && (bytes > capacity - start || available() <= CHEAP_MOVE_BYTES)) {
      NativeMemory.copy(readAddress(), address, available());
      end -= start;
      start = 0;
    }
  }

  /**
   * Back to the first size, in memory that was not touched yet and so costs nothing; only while
   * nothing has arrived.
   */
  void shrink() {
    if (start == end) {
      replaceBy(NativeMemory.allocate(BASE_BYTES), BASE_BYTES);
    }
  }

  private void replaceBy(long newAddress, int newCapacity) {
    NativeMemory.free(address, capacity);
    end -= start;
    start = 0;
    address = newAddress;
    capacity = newCapacity;
  }

  int capacity() {
    return capacity;
  }

  @Override
  public void close() {
    NativeMemory.free(address, capacity);
  }
}
