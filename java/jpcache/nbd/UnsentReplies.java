package jpcache.nbd;

import jpcache.block.Loan;
import org.jspecify.annotations.Nullable;

/**
 * Complete replies that wait to be sent, in turn, and the message that gathers them for the system
 * call.
 *
 * <p>All of it only with the {@link ReplyQueue}'s send lock, except {@link #isEmpty}.
 */
final class UnsentReplies implements AutoCloseable {
  private static final int PARTS_OFFSET = 64; // behind struct msghdr
  private static final int NATIVE_BYTES = PARTS_OFFSET + Sockets.MAX_PARTS * Sockets.PART_BYTES;

  private final long message = NativeMemory.allocate(NATIVE_BYTES);
  private Reply[] ring = new Reply[64];
  private int head;
  private volatile int count;
  private long headBytesSent;
  private long sent;
  private @Nullable Reply spare;

  // Of the message that is being put together:
  private int parts;
  private long messageBytes;
  private long skipBytes;
  private long lastPartStart;
  private long lastPartEnd;

  UnsentReplies() {
    NativeMemory.hostLong(message + Sockets.MESSAGE_PARTS, message + PARTS_OFFSET);
  }

  /** Any thread may ask. */
  boolean isEmpty() {
    return count == 0;
  }

  /** How many have been sent, or dropped, so far. */
  long sent() {
    return sent;
  }

  void add(Reply reply) {
    if (count == ring.length) {
      Reply[] larger = new Reply[2 * count];
      for (int i = 0; i < count; i++) {
        larger[i] = get(i);
      }
      ring = larger;
      head = 0;
    }
    ring[(head + count) & (ring.length - 1)] = reply;
    setCount(count + 1);
  }

  private Reply get(int index) {
    return ring[(head + index) & (ring.length - 1)];
  }

  /** The struct msghdr that {@link #gather} fills in. */
  long message() {
    return message;
  }

  /**
   * Fills in the message with as much as fits; what adjoins in memory becomes one part.
   *
   * @return how many bytes it has
   */
  long gather() {
    parts = 0;
    lastPartEnd = 0;
    messageBytes = 0;
    skipBytes = headBytesSent;
    int i = 0;
    while (i < count && addReply(get(i))) {
      i++;
    }
    NativeMemory.hostLong(message + Sockets.MESSAGE_PART_COUNT, parts);
    return messageBytes;
  }

  private boolean addReply(Reply reply) {
    long end = reply.address() + reply.sendBytes();
    Loan loan = reply.loan();
    if (loan == null) {
      return addBytes(reply.address(), end);
    }
    long lentFrom = loan.address();
    long lentTo = lentFrom + loan.lengthBytes();
    return addBytes(reply.address(), reply.dataAddress())
        && addBytes(lentFrom, lentTo)
        && addBytes(reply.dataAddress() + loan.lengthBytes(), end);
  }

  /** Adds what has not been sent of some bytes; false if there is no room for another part. */
  private boolean addBytes(long start, long to) {
    long skipped = Math.min(skipBytes, to - start);
    skipBytes -= skipped;
    long from = start + skipped;
    if (from == to) {
      return true;
    }
    if (from != lastPartEnd) {
      if (parts == Sockets.MAX_PARTS) {
        return false;
      }
      lastPartStart = from;
      parts++;
      NativeMemory.hostLong(lastPart(), from);
    }
    lastPartEnd = to;
    messageBytes += to - from;
    NativeMemory.hostLong(lastPart() + Long.BYTES, to - lastPartStart);
    return true;
  }

  private long lastPart() {
    return message + PARTS_OFFSET + (long) (parts - 1) * Sockets.PART_BYTES;
  }

  /** So many bytes of the message have been taken. */
  void sent(long bytes) {
    long left = bytes;
    while (count > 0) {
      Reply reply = ring[head];
      long remaining = reply.sendBytes() - headBytesSent;
      if (left < remaining) {
        headBytesSent += left;
        return;
      }
      left -= remaining;
      headBytesSent = 0;
      head = (head + 1) & (ring.length - 1);
      setCount(count - 1);
      reply.release();
      reply.next = spare;
      spare = reply;
      sent++;
    }
  }

  /** The data of replies that began before some time is lent no longer. */
  void copyLoansBefore(long nanos) {
    for (int i = 0; i < count && get(i).begunNanos - nanos < 0; i++) {
      copyLoan(i);
    }
  }

  /**
   * The data of no reply is lent any longer.
   *
   * @return false if none was
   */
  boolean copyLoans() {
    boolean any = false;
    for (int i = 0; i < count; i++) {
      any |= copyLoan(i);
    }
    return any;
  }

  private boolean copyLoan(int index) {
    Reply reply = get(index);
    if (reply.loan() == null) {
      return false;
    }
    reply.copyLoan(index == 0 ? headBytesSent : 0);
    return true;
  }

  /** Nobody reads them: they count as sent. */
  void drop() {
    sent(Long.MAX_VALUE);
  }

  /** Those that have been sent since the last time, as a list. */
  @Nullable Reply takeSent() {
    Reply first = spare;
    spare = null;
    return first;
  }

  @SuppressWarnings("NonAtomicOperationOnVolatileField") // all writers hold the send lock
  private void setCount(int newCount) {
    count = newCount;
  }

  @Override
  public void close() {
    NativeMemory.free(message, NATIVE_BYTES);
  }
}
