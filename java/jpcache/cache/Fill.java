package jpcache.cache;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * A backing read of bytes that the cache does not have, on its way: a placeholder for what it will
 * bring.
 *
 * <p>It is <em>overtaken</em> when a write enters the subtree anywhere in its range: what the read
 * brings may then be older than what is cached, so it goes to those who asked for it and not into
 * the cache. (Who asked before the write was answered may see either.)
 *
 * <p>Later reads of the same bytes join it, unless it has been overtaken: they might then be given
 * data that is older than what was acknowledged before they came.
 *
 * <p>Guarded by {@link Fills}, but for the fields that never change.
 *
 * <p>Kernel counterpart: the empty key, {@code cache_req.c: create_cache_miss_req}.
 */
final class Fill implements Completion {
  /** A read that wants some of the bytes as well. */
  private record Reader(long offsetBytes, int lengthBytes, long address, Completion done) {}

  final long offsetBytes;
  final int lengthBytes;

  /** Where the first reader has its data put. */
  final long address;

  /** Whether what it brings may enter the cache. */
  final boolean cacheable;

  private final Completion done;
  private final Fills fills;
  private @Nullable List<Reader> joined;
  private boolean overtaken;

  Fill(
      Fills fills,
      long offsetBytes,
      int lengthBytes,
      long address,
      boolean cacheable,
      Completion done) {
    this.fills = fills;
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
    this.address = address;
    this.cacheable = cacheable;
    this.done = done;
  }

  boolean overtaken() {
    return overtaken;
  }

  /** A write has entered the subtree from one byte to another. */
  void overtake(long from, long to) {
    overtaken |= from < offsetBytes + lengthBytes && offsetBytes < to;
  }

  boolean covers(long from, long to) {
    return offsetBytes <= from && to <= offsetBytes + lengthBytes;
  }

  void join(long from, int length, long to, Completion reader) {
    if (joined == null) {
      joined = new ArrayList<>();
    }
    joined.add(new Reader(from, length, to, reader));
  }

  /** The backing device has answered. */
  @Override
  public void complete(int errno) {
    try {
      fills.ended(this, errno); // it may find no memory, say; the data has come all the same
    } finally {
      // Nobody can join any more, and the data is the first reader's until it is told.
      try {
        tellJoined(errno, 0);
      } finally {
        done.complete(errno);
      }
    }
  }

  /** Tells them all from that one on, also those behind one that throws. */
  private void tellJoined(int errno, int first) {
    int next = first;
    int count = joined == null ? 0 : joined.size();
    try {
      while (joined != null && next < count) {
        Reader reader = joined.get(next++);
        reader.done.complete(errno != 0 ? errno : copyTo(reader));
      }
    } finally {
      if (next < count) {
        tellJoined(errno, next);
      }
    }
  }

  private int copyTo(Reader reader) {
    try {
      MemorySegment.copy(
          MemorySegment.ofAddress(address).reinterpret(lengthBytes),
          reader.offsetBytes - offsetBytes,
          MemorySegment.ofAddress(reader.address).reinterpret(reader.lengthBytes),
          0,
          reader.lengthBytes);
      return 0;
    } catch (OutOfMemoryError e) {
      return Errno.ENOMEM;
    }
  }
}
