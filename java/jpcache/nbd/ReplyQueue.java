package jpcache.nbd;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import jpcache.base.Errno;
import jpcache.block.Loan;
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
 * <p><b>The send lock</b> guards what is {@code unsent}, the loans of those replies, the socket's
 * output, and the chunks' counts of released replies. It is held over non-blocking system calls,
 * and while data is copied that was lent for too long; no other lock is taken under it.
 */
final class ReplyQueue implements AutoCloseable {
  /** More requests than this wait in the socket: bounds what no memory limit counts. */
  static final int MAX_IN_FLIGHT = 4096;

  /** A client that does not read keeps the device from using its memory again for so long. */
  private static final long MOST_LENT_NANOS = 100_000_000;

  private final Wakeup wakeup;
  private final Thread owner;
  private final ReplyMemory memory;

  // The owner's.
  private final LentReplies lent = new LentReplies();
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

  // Under the send lock.
  private Transport transport; // the owner, who alone changes it, may look without
  private final ReentrantLock sendLock = new ReentrantLock();
  private final UnsentReplies unsent = new UnsentReplies();
  private boolean ownerWaits;
  private boolean closed;

  ReplyQueue(Transport transport, Thread owner, long limitBytes, NbdMetrics metrics) {
    this.times = metrics.new Batch();
    this.transport = transport;
    this.wakeup = transport.wakeup();
    this.owner = owner;
    this.memory = new ReplyMemory(limitBytes);
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
   * @param kind what it counts as; null if it is refused
   * @return null if others must be answered first
   */
  @Nullable Reply begin(Request request, int bytes, NbdMetrics.@Nullable Requests kind) {
    if (tooManyInFlight()) {
      return null;
    }
    Reply reply = pool;
    if (reply == null) {
      reply = new Reply(this);
    }
    if (begun - answered == batch.length) {
      batch = Arrays.copyOf(batch, 2 * batch.length); // there is room for all, so none fails later
    }
    if (!memory.reserve(reply, bytes)) {
      return null;
    }
    pool = reply.next;
    reply.next = null;
    if (batchCount == 0) {
      times.begin();
    }
    reply.begin(format, request, kind, times.begunNanos());
    begun++;
    addToBatch(reply);
    return reply;
  }

  /**
   * Whether a request can begin, for whom it matters to know before it asks the device.
   *
   * @param bytes as for {@link #begin}
   */
  boolean hasRoom(int bytes) {
    return !tooManyInFlight() && memory.hasRoom(bytes);
  }

  private boolean tooManyInFlight() {
    return begun - answered >= MAX_IN_FLIGHT;
  }

  /**
   * For a read that may be answered with data from where the device has it: what to borrow it with.
   * If it is borrowed, {@link #answerWith} is next.
   *
   * @return null if this one cannot
   */
  @Nullable Loan spareLoan() {
    return format.chunked() && transport.sendsMemoryThatMayFail() ? lent.spare() : null;
  }

  /** A reply that has begun is answered with what was lent to {@link #spareLoan}. */
  void answerWith(Loan loan, Reply reply) {
    reply.carries(loan);
    lent.add(reply);
  }

  private void addToBatch(Reply reply) {
    batch[batchCount++] = reply;
    reply.inBatch = true;
  }

  /**
   * Sends, as far as the socket takes it, what has completed. A batch's replies go out in the order
   * of their requests, which is their order in memory; what has not completed by then goes out
   * later, in no order.
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
          unsent.add(reply);
        }
      }
      batchCount = 0;
      sendReady();
      takeBack();
      ownerWaits = false;
    } finally {
      sendLock.unlock();
    }
    lent.endLoans();
    times.answered();
    return answered != before;
  }

  /**
   * Before the thread sleeps until replies have gone out: from now on that wakes it.
   *
   * @return true if some have gone out since the last {@link #send}, so that it need not sleep
   */
  boolean prepareToWait() {
    boolean moved;
    sendLock.lock();
    try {
      ownerWaits = true;
      moved = unsent.sent() != answered;
      takeBack();
    } finally {
      sendLock.unlock();
    }
    lent.endLoans();
    return moved;
  }

  /** With the send lock; {@link LentReplies#endLoans} follows without. */
  private void takeBack() {
    if (lent.any()) {
      unsent.copyLoansBefore(System.nanoTime() - MOST_LENT_NANOS);
      lent.settle();
    }
    answered = unsent.sent();
    if (pool == null) {
      pool = unsent.takeSent();
    }
    memory.recycle();
  }

  /** Whether completed replies wait for the client to read. */
  boolean hasUnsent() {
    return !unsent.isEmpty() || transport.hasUnsent();
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

  /**
   * After a failure: ends those requests that had begun and that the device has not been given.
   * Whatever it was given, it completes.
   */
  void failUnsubmitted() {
    for (int i = 0; i < batchCount; i++) {
      if (!batch[i].withDevice && !batch[i].done) {
        batch[i].complete(Errno.EIO);
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
    send(); // which drops all
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
    unsent.close();
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
    try {
      if (reply.kind != null) {
        reply.kind.answered(System.nanoTime() - reply.begunNanos);
      }
      push(reply);
      sendOrWakeOwner();
    } finally {
      // From here on the connection may be gone: awaitOutstanding waits for exactly this count.
      completedElsewhere.incrementAndGet();
      if (closing) {
        LockSupport.unpark(owner);
      }
    }
  }

  private void sendOrWakeOwner() {
    if (!sendLock.tryLock()) {
      wakeup.raise();
      return;
    }
    try {
      sendReady();
      if (hasUnsent() || ownerWaits) {
        wakeup.raise();
      }
    } finally {
      sendLock.unlock();
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
      unsent.add(reply);
      reply = next;
    }
    while (hasUnsent()) {
      long wanted = peerGone ? 0 : unsent.gather();
      long n = peerGone ? -Errno.EPIPE : transport.send(unsent.message());
      if (n == -Errno.EAGAIN) {
        return;
      }
      if (n == -Errno.EFAULT && unsent.copyLoans()) {
        continue; // whatever cannot be read has become an error
      }
      if (n < 0) {
        peerGone = true;
        unsent.drop();
        return;
      }
      unsent.sent(n);
      if (n < wanted || wanted == 0) {
        return; // the socket is full; the rest may be the transport's
      }
    }
  }
}
