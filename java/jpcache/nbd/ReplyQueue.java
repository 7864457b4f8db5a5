package jpcache.nbd;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * The requests of a connection that are under way, and the replies on their way out.
 *
 * <p>Two kinds of thread meet here. The connection's own thread begins requests, and what completes
 * on it is collected without a lock until {@link #send} sends the whole batch with one system call.
 * What completes on another thread is pushed on a lock-free stack; then that thread sends it itself
 * if it gets the send lock without waiting, and otherwise wakes the connection's thread. It never
 * waits: neither for the lock nor for a client that does not read (the rest is left to the
 * connection's thread, which waits for the socket).
 *
 * <p><b>The send lock</b> guards what is {@code unsent} and the socket's output, {@code spare},
 * {@code sent}, and the chunks' counts of released replies. It is held over non-blocking system
 * calls only, and no other lock is taken under it.
 */
final class ReplyQueue implements AutoCloseable {
  /** More requests than this wait in the socket: bounds what no memory limit counts. */
  static final int MAX_IN_FLIGHT = 4096;

  private static final int PARTS_OFFSET = 64; // behind struct msghdr
  private static final int NATIVE_BYTES = PARTS_OFFSET + Sockets.MAX_PARTS * Sockets.PART_BYTES;

  private final Wakeup wakeup;
  private final Thread owner;
  private final ReplyMemory memory;
  private final long message = NativeMemory.allocate(NATIVE_BYTES);

  // The owner's.
  private final NbdMetrics.Batch times;
  private Reply[] batch = new Reply[64];
  private int batchCount;
  private @Nullable Reply pool;
  private ReplyFormat format = ReplyFormat.SIMPLE;
  private long begun;
  private long completedByOwner;
  private long answered;

  // Everybody's.
  private final AtomicReference<@Nullable Reply> late = new AtomicReference<>();
  private final AtomicLong completedElsewhere = new AtomicLong();
  private volatile boolean closing;
  private volatile boolean peerGone;
  private volatile int unsentCount;

  // Under the send lock.
  private Transport transport; // the owner, who alone changes it, may look without
  private final ReentrantLock sendLock = new ReentrantLock();
  private Reply[] unsent = new Reply[64]; // a ring
  private int unsentHead;
  private long headBytesSent;
  private @Nullable Reply spare;
  private long sent;
  private boolean ownerWaits;
  private boolean closed;

  ReplyQueue(Transport transport, Thread owner, long limitBytes, NbdMetrics metrics) {
    this.times = metrics.new Batch();
    this.transport = transport;
    this.wakeup = transport.wakeup();
    this.owner = owner;
    this.memory = new ReplyMemory(limitBytes);
    NativeMemory.hostLong(message + Sockets.MESSAGE_PARTS, message + PARTS_OFFSET);
  }

  // ---- The connection's thread -------------------------------------------------------------

  /** Replies go out by another transport over the same connection from now on. */
  void replaceTransport(Transport by) {
    sendLock.lock();
    try {
      transport = by;
    } finally {
      sendLock.unlock();
    }
  }

  /** Replies look like this from now on. Before the first request. */
  void useFormat(ReplyFormat replyFormat) {
    format = replyFormat;
  }

  /**
   * A request begins: the reply is its completion.
   *
   * @param bytes the memory that the reply takes at most
   * @param needsCommit whether only a commit completes it
   * @param kind what it counts as; null if it is refused
   * @return null if others must be answered first
   */
  @Nullable Reply begin(
      Request request, int bytes, boolean needsCommit, NbdMetrics.@Nullable Requests kind) {
    if (begun - answered >= MAX_IN_FLIGHT) {
      return null;
    }
    Reply reply = pool;
    if (reply == null) {
      reply = new Reply(this);
    }
    if (!memory.reserve(reply, bytes)) {
      return null;
    }
    pool = reply.next;
    reply.next = null;
    if (batchCount == 0) {
      times.begin();
    }
    reply.begin(format, request, needsCommit, kind, times.begunNanos());
    begun++;
    addToBatch(reply);
    return reply;
  }

  private void addToBatch(Reply reply) {
    if (batchCount == batch.length) {
      batch = Arrays.copyOf(batch, 2 * batchCount);
    }
    batch[batchCount++] = reply;
    reply.inBatch = true;
  }

  /**
   * Sends, as far as the socket takes it, what has completed. Replies go out in the order of their
   * requests, which is their order in memory; what has not completed is left for later.
   *
   * @return whether any have gone out since the last time, so that there is room for others
   */
  boolean send() {
    if (batchCount == 0 && !hasUnsent() && late.get() == null && answered == begun) {
      return false;
    }
    long before = answered;
    sendLock.lock();
    try {
      for (int i = 0; i < batchCount; i++) {
        Reply reply = batch[i];
        reply.inBatch = false;
        if (reply.done) {
          times.completed(reply.kind, reply.begunNanos);
          enqueue(reply);
        }
      }
      batchCount = 0;
      sendReady();
      takeBack();
      ownerWaits = false;
    } finally {
      sendLock.unlock();
    }
    times.answered();
    return answered != before;
  }

  /**
   * Before the thread sleeps until replies have gone out: from now on that wakes it.
   *
   * @return true if some have gone out since the last {@link #send}, so that it need not sleep
   */
  boolean prepareToWait() {
    sendLock.lock();
    try {
      ownerWaits = true;
      boolean moved = sent != answered;
      takeBack();
      return moved;
    } finally {
      sendLock.unlock();
    }
  }

  private void takeBack() {
    answered = sent;
    if (pool == null) {
      pool = spare;
      spare = null;
    }
    memory.recycle();
  }

  /** Whether completed replies wait for the client to read. */
  boolean hasUnsent() {
    return unsentCount > 0 || transport.hasUnsent();
  }

  /** Whether the client is known to be unreachable: what completes is dropped. */
  boolean peerGone() {
    return peerGone;
  }

  /** The client has gone: what completes is dropped from now on. */
  void abandonPeer() {
    peerGone = true;
  }

  /** Whether each request that began has been answered, as far as the last {@link #send} saw. */
  boolean allAnswered() {
    return answered == begun && !transport.hasUnsent();
  }

  /** Gives memory back that no reply is in. */
  void trim() {
    memory.trim();
  }

  /** Requests that have not completed. */
  long outstanding() {
    return begun - completedByOwner - completedElsewhere.get();
  }

  /** Writes that were never committed complete no more: the device's queue has been closed. */
  void forgetUncommitted() {
    for (int i = 0; i < batchCount; i++) {
      if (batch[i].needsCommit && !batch[i].done) {
        completedByOwner++;
      }
    }
  }

  /** Waits until every request has completed: nothing touches the memory any more. */
  void awaitOutstanding() {
    peerGone = true;
    closing = true;
    while (outstanding() > 0) {
      LockSupport.park(this);
    }
  }

  /** Only after {@link #awaitOutstanding}. */
  @Override
  public void close() {
    sendLock.lock();
    try {
      closed = true;
    } finally {
      sendLock.unlock();
    }
    memory.close();
    NativeMemory.free(message, NATIVE_BYTES);
  }

  // ---- Any thread --------------------------------------------------------------------------

  /** Wakes the connection's thread, unless it has ended. */
  void wakeOwner() {
    sendLock.lock();
    try {
      if (!closed) {
        wakeup.raise();
      }
    } finally {
      sendLock.unlock();
    }
  }

  /** A reply is complete: its header and data are in place. */
  void completed(Reply reply) {
    if (Thread.currentThread() == owner) {
      reply.done = true;
      completedByOwner++;
      if (!reply.inBatch) {
        addToBatch(reply);
      }
      return;
    }
    if (reply.kind != null) {
      reply.kind.answered(System.nanoTime() - reply.begunNanos);
    }
    push(reply);
    if (sendLock.tryLock()) {
      try {
        sendReady();
        if (hasUnsent() || ownerWaits) {
          wakeup.raise();
        }
      } finally {
        sendLock.unlock();
      }
    } else {
      wakeup.raise();
    }
    // From here on the connection may be gone: awaitOutstanding waits for exactly this count.
    completedElsewhere.incrementAndGet();
    if (closing) {
      LockSupport.unpark(owner);
    }
  }

  private void push(Reply reply) {
    Reply first;
    do {
      first = late.get();
      reply.next = first;
    } while (!late.compareAndSet(first, reply));
  }

  // ---- With the send lock ------------------------------------------------------------------

  private void sendReady() {
    for (Reply reply = late.getAndSet(null); reply != null; ) {
      Reply next = reply.next;
      enqueue(reply);
      reply = next;
    }
    while (hasUnsent()) {
      long wanted = peerGone ? 0 : gather();
      long n = peerGone ? -Errno.EPIPE : transport.send(message);
      if (n == -Errno.EAGAIN) {
        return;
      }
      if (n < 0) {
        peerGone = true;
        dropUnsent();
        return;
      }
      dequeue(n);
      if (n < wanted) {
        return; // the socket is full
      }
    }
  }

  /**
   * Fills in the message with as much of what is unsent as fits; runs in memory become one part.
   */
  private long gather() {
    long part = message + PARTS_OFFSET;
    int parts = 0;
    long total = 0;
    long runStart = 0;
    long runEnd = 0;
    for (int i = 0; i < unsentCount; i++) {
      Reply reply = unsent[(unsentHead + i) & (unsent.length - 1)];
      long from = reply.address() + (i == 0 ? headBytesSent : 0);
      long to = reply.address() + reply.sendBytes();
      if (from != runEnd) {
        if (parts == Sockets.MAX_PARTS) {
          break;
        }
        runStart = from;
        NativeMemory.hostLong(part + (long) parts * Sockets.PART_BYTES, runStart);
        parts++;
      }
      runEnd = to;
      NativeMemory.hostLong(part + (long) (parts - 1) * Sockets.PART_BYTES + 8, runEnd - runStart);
      total += to - from;
    }
    NativeMemory.hostLong(message + Sockets.MESSAGE_PART_COUNT, parts);
    return total;
  }

  private void enqueue(Reply reply) {
    if (unsentCount == unsent.length) {
      Reply[] larger = new Reply[2 * unsentCount];
      for (int i = 0; i < unsentCount; i++) {
        larger[i] = unsent[(unsentHead + i) & (unsent.length - 1)];
      }
      unsent = larger;
      unsentHead = 0;
    }
    unsent[(unsentHead + unsentCount) & (unsent.length - 1)] = reply;
    setUnsentCount(unsentCount + 1);
  }

  private void dequeue(long bytes) {
    long left = bytes;
    while (unsentCount > 0) {
      Reply head = unsent[unsentHead];
      long remaining = head.sendBytes() - headBytesSent;
      if (left < remaining) {
        headBytesSent += left;
        return;
      }
      left -= remaining;
      headBytesSent = 0;
      unsentHead = (unsentHead + 1) & (unsent.length - 1);
      setUnsentCount(unsentCount - 1);
      head.release();
      head.next = spare;
      spare = head;
      sent++;
    }
  }

  private void dropUnsent() {
    long bytes = -headBytesSent;
    for (int i = 0; i < unsentCount; i++) {
      bytes += unsent[(unsentHead + i) & (unsent.length - 1)].sendBytes();
    }
    dequeue(bytes);
  }

  @SuppressWarnings("NonAtomicOperationOnVolatileField") // all writers hold the send lock
  private void setUnsentCount(int count) {
    unsentCount = count;
  }
}
