package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * Writes that wait for room in a full cache, in the order in which they came.
 *
 * <p>Their data is copied, so that the client's thread can go on and serve what is behind them:
 * reads above all. When too much waits, {@link #add} holds its caller up: back-pressure at last.
 *
 * <p>{@link #serve} is for the maintenance thread; everything else may be called from any.
 */
final class Backlog {
  private static final long MAX_BYTES = 64L << 20;

  private static final class Write {
    final long offsetBytes;
    final byte[] data;
    final boolean fua;
    final Completion done;

    Write(long offsetBytes, byte[] data, boolean fua, Completion done) {
      this.offsetBytes = offsetBytes;
      this.data = data;
      this.fua = fua;
      this.done = done;
    }
  }

  private final Runnable onFirst;
  private final Deque<Write> waiting = new ArrayDeque<>();
  private long waitingBytes;
  private boolean closed;
  private volatile boolean empty = true;

  // Of the maintenance thread:
  private @Nullable MemorySegment buffer;

  /**
   * An empty backlog.
   *
   * @param onFirst called when a write begins to wait
   */
  Backlog(Runnable onFirst) {
    this.onFirst = onFirst;
  }

  boolean isEmpty() {
    return empty;
  }

  synchronized int size() {
    return waiting.size();
  }

  /** Lets a write wait; it completes on the maintenance thread. */
  void add(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done) {
    byte[] data = new byte[lengthBytes];
    MemorySegment.copy(
        MemorySegment.ofAddress(address).reinterpret(lengthBytes),
        ValueLayout.JAVA_BYTE,
        0,
        data,
        0,
        lengthBytes);
    if (enqueue(new Write(offsetBytes, data, fua, done))) {
      onFirst.run();
    } else {
      done.complete(Errno.ESHUTDOWN);
    }
  }

  private synchronized boolean enqueue(Write write) {
    boolean interrupted = false;
    while (!closed && waitingBytes > MAX_BYTES) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (closed) {
      return false;
    }
    waiting.add(write);
    waitingBytes += write.data.length;
    empty = false;
    return true;
  }

  /**
   * Writes what there is room for now.
   *
   * @return whether anything was written
   */
  boolean serve(CacheQueue queue) {
    boolean any = false;
    for (Write next = poll(); next != null; next = poll()) {
      if (!stage(queue, next)) {
        putBack(next);
        return any;
      }
      queue.commit(); // the buffer is used again
      served(next);
      any = true;
    }
    return any;
  }

  private boolean stage(CacheQueue queue, Write write) {
    if (buffer == null || buffer.byteSize() < write.data.length) {
      buffer = Arena.ofAuto().allocate(Math.max(write.data.length, 1 << 20));
    }
    MemorySegment.copy(write.data, 0, buffer, ValueLayout.JAVA_BYTE, 0, write.data.length);
    return queue.stage(
        write.offsetBytes, write.data.length, buffer.address(), write.fua, write.done);
  }

  private synchronized @Nullable Write poll() {
    return waiting.poll();
  }

  private void putBack(Write write) {
    synchronized (this) {
      if (!closed) {
        waiting.addFirst(write);
        return;
      }
    }
    write.done.complete(Errno.ESHUTDOWN);
  }

  private synchronized void served(Write write) {
    waitingBytes -= write.data.length;
    empty = waiting.isEmpty();
    notifyAll();
  }

  /** Whatever waits, or would, fails with ESHUTDOWN: it was never acknowledged. */
  void close() {
    Deque<Write> abandoned;
    synchronized (this) {
      closed = true;
      abandoned = new ArrayDeque<>(waiting);
      waiting.clear();
      waitingBytes = 0;
      empty = true;
      notifyAll();
    }
    abandoned.forEach(write -> write.done.complete(Errno.ESHUTDOWN));
  }
}
