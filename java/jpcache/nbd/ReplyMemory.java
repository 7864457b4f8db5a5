package jpcache.nbd;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The memory that a connection's replies are built in and sent from.
 *
 * <p>Replies are laid out one after the other in a chunk, header and data together, so that the
 * replies of a batch are sent as one contiguous run. A chunk is used again from its start when all
 * of its replies have been sent:
 *
 * <pre>
 *   +--------+------+--------+--------+------+-------------+
 *   | header | data | header | header | data |    unused   |
 *   +--------+------+--------+--------+------+-------------+
 *   |&lt;-- read ----&gt;|&lt;-write-&gt;|&lt;--- read ----&gt;|
 * </pre>
 *
 * <p>All of it is the connection's thread's, except {@link Chunk#released}, which whoever sends
 * counts up, and {@link #recycle}, which looks at that: both only with the send lock.
 */
final class ReplyMemory implements AutoCloseable {
  /** Small enough for every connection to have one; what is not touched costs nothing. */
  static final int CHUNK_BYTES = 1 << 20;

  /** A piece of memory and the replies in it. */
  static final class Chunk {
    private final long address;
    private final int capacity;
    private int used;
    private int reserved;
    private int released;

    private Chunk(int capacity) {
      this.address = NativeMemory.allocate(capacity);
      this.capacity = capacity;
    }

    /** One of its replies is out. Only with the send lock. */
    void release() {
      released++;
    }

    private void reset() {
      used = 0;
      reserved = 0;
      released = 0;
    }
  }

  private final long limitBytes;
  private final List<Chunk> active = new ArrayList<>();
  private final List<Chunk> free = new ArrayList<>();
  private @Nullable Chunk current;
  private long mappedBytes;

  /** Memory of which no more than {@code limitBytes} is in use, or one reply if that is larger. */
  ReplyMemory(long limitBytes) {
    this.limitBytes = limitBytes;
  }

  /**
   * Gives a reply its place.
   *
   * @return false if others must be sent first
   */
  boolean reserve(Reply reply, int bytes) {
    Chunk chunk = chunkFor(bytes);
    if (chunk == null) {
      return false;
    }
    reply.place(chunk, chunk.address + chunk.used, bytes);
    chunk.used += bytes;
    chunk.reserved++;
    return true;
  }

  /** Whether {@link #reserve} would give a reply of so many bytes a place. */
  boolean hasRoom(int bytes) {
    return chunkFor(bytes) != null;
  }

  private @Nullable Chunk chunkFor(int bytes) {
    return current != null && current.capacity - current.used >= bytes ? current : nextChunk(bytes);
  }

  private @Nullable Chunk nextChunk(int bytes) {
    if (current != null && current.reserved == 0) {
      active.remove(current);
      free.add(current);
      current = null;
    }
    Chunk chunk = takeFree(bytes);
    if (chunk == null) {
      int capacity = (int) NativeMemory.wholePages(Math.max(bytes, CHUNK_BYTES));
      if (mappedBytes + capacity > limitBytes) {
        trim();
      }
      if (mappedBytes + capacity > limitBytes && !active.isEmpty()) {
        return null;
      }
      chunk = new Chunk(capacity);
      mappedBytes += capacity;
    }
    active.add(chunk);
    current = chunk;
    return chunk;
  }

  private @Nullable Chunk takeFree(int bytes) {
    for (int i = free.size() - 1; i >= 0; i--) {
      if (free.get(i).capacity >= bytes) {
        return free.remove(i);
      }
    }
    return null;
  }

  /** Makes chunks whose replies are all sent usable again. Only with the send lock. */
  void recycle() {
    for (int i = active.size() - 1; i >= 0; i--) {
      Chunk chunk = active.get(i);
      if (chunk.reserved == chunk.released) {
        chunk.reset();
        if (chunk != current) {
          active.remove(i);
          free.add(chunk);
        }
      }
    }
  }

  /** Gives memory back that no reply is in. */
  void trim() {
    if (current != null && current.reserved == 0) {
      active.remove(current);
      free.add(current);
      current = null;
    }
    for (Chunk chunk : free) {
      unmap(chunk);
    }
    free.clear();
  }

  private void unmap(Chunk chunk) {
    NativeMemory.free(chunk.address, chunk.capacity);
    mappedBytes -= chunk.capacity;
  }

  long mappedBytes() {
    return mappedBytes;
  }

  /** Only when nothing writes to it any more. */
  @Override
  public void close() {
    free.addAll(active);
    active.clear();
    current = null;
    trim();
  }
}
