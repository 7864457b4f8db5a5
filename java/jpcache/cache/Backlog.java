package jpcache.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
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

  /** So much is written with one commit, or one write more. */
  private static final int COMMIT_BYTES = 1 << 20;

  /** And so much of a zeroed range. */
  private static final long COMMIT_ZERO_BYTES = 4L << 30;

  private static final int OBJECT_BYTES = 128;
  private static final byte[] NO_DATA = {};

  /** A write, or a range to be zeroed in its place. */
  private static final class Write {
    final long offsetBytes;
    final byte[] data;
    final boolean fua;
    final Completion done;
    final @Nullable ZeroedRange zeroes;

    Write(long offsetBytes, byte[] data, boolean fua, Completion done) {
      this.offsetBytes = offsetBytes;
      this.data = data;
      this.fua = fua;
      this.done = done;
      zeroes = null;
    }

    Write(ZeroedRange zeroes) {
      offsetBytes = zeroes.partBytes();
      data = NO_DATA;
      fua = zeroes.fua;
      done = zeroes::fail;
      this.zeroes = zeroes;
    }

    boolean isStaged() {
      return zeroes == null || zeroes.isStaged();
    }

    /** What it takes of the memory for all, and of a commit. */
    int bytes() {
      return data.length + OBJECT_BYTES;
    }
  }

  private final Runnable onFirst;
  private final Deque<Write> waiting = new ArrayDeque<>();
  private long waitingBytes;
  private boolean closed;
  private volatile boolean empty = true;

  // Of the maintenance thread:
  private MemorySegment buffer = Arena.ofAuto().allocate(COMMIT_BYTES);
  private final List<Write> staged = new ArrayList<>();

  private boolean progress;
  private final Admission admission;

  /**
   * An empty backlog.
   *
   * @param admission when writes may take room
   * @param onFirst called when a write begins to wait
   */
  Backlog(Admission admission, Runnable onFirst) {
    this.admission = admission;
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
    add(new Write(offsetBytes, data, fua, done));
  }

  /** Lets wait what is left of a range that is to be zeroed. */
  void add(ZeroedRange zeroes) {
    add(new Write(zeroes));
  }

  private void add(Write write) {
    if (enqueue(write)) {
      onFirst.run();
    } else {
      write.done.complete(Errno.ESHUTDOWN);
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
    waitingBytes += write.bytes();
    empty = false;
    return true;
  }

  /**
   * Writes what there is room for now, many with one commit.
   *
   * @return whether anything was written
   */
  boolean serve(CacheQueue queue) {
    boolean any = false;
    boolean admitted = true;
    while (admitted && !empty) {
      admitted = stageMany(queue);
      any |= progress;
      queue.commit();
      served();
    }
    return any;
  }

  /** Stages what one commit may take; false if the next write has to wait on. */
  private boolean stageMany(CacheQueue queue) {
    progress = false;
    long bytes = 0;
    while (bytes < COMMIT_BYTES) {
      Write next = poll();
      if (next == null) {
        return true;
      }
      if (!stageOrFail(queue, next)) {
        putBack(next);
        return false;
      }
      progress = true;
      if (!next.isStaged()) {
        putBack(next); // it goes on with the next commit
        return true;
      }
      staged.add(next);
      bytes += next.bytes();
    }
    return true;
  }

  private boolean stageOrFail(CacheQueue queue, Write write) {
    try {
      return stage(queue, write);
    } catch (RuntimeException | Error e) {
      staged.add(write); // what it takes of the memory for all is given back with theirs
      if (write.zeroes == null || !write.isStaged()) {
        write.done.complete(Errno.EIO);
      }
      throw e;
    }
  }

  private boolean stage(CacheQueue queue, Write write) {
    if (write.zeroes != null) {
      return queue.stageZeroes(write.zeroes, COMMIT_ZERO_BYTES);
    }
    byte[] data = write.data;
    int length = data.length;
    if (!admission.admit(length)) {
      return false;
    }
    if (length > buffer.byteSize()) {
      buffer = Arena.ofAuto().allocate(length);
    }
    // Staging copies, so the buffer is free again at once.
    MemorySegment.copy(data, 0, buffer, ValueLayout.JAVA_BYTE, 0, length);
    if (queue.stageByMode(write.offsetBytes, length, buffer.address(), write.fua, write.done)) {
      return true;
    }
    admission.refund(length);
    return false;
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

  private synchronized void served() {
    staged.forEach(write -> waitingBytes -= write.bytes());
    staged.clear();
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
