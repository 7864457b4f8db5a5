package jpcache.nbd;

import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.Loan;
import org.jspecify.annotations.Nullable;

/**
 * A request under way and the place of its reply. Pooled: a connection makes as many as it ever has
 * in flight at once.
 *
 * <p>Life: {@link ReplyQueue#begin} hands it out; the connection's thread says what a success
 * carries; the device calls {@link #complete}, on whatever thread; the queue sends it and then
 * takes it back. Which fields belong to whom is written at each.
 */
final class Reply implements Completion {
  /** What a success is answered with. */
  private enum Success {
    /** Nothing but the fact. */
    PLAIN,
    /** The data behind the room for its header. */
    DATA,
    /** Data that is sent from where the device has it. */
    LENT,
    /** What lies in the reply's room already. */
    PREPARED
  }

  private static final byte[] NO_TEXT = {};

  private final ReplyQueue queue;
  private ReplyMemory.@Nullable Chunk chunk;
  private ReplyFormat format = ReplyFormat.SIMPLE;
  private long address;
  private int roomBytes;
  private long cookie;
  private long requestOffset;
  private Success success = Success.PLAIN;
  private int dataBytes;
  private int skipBytes;
  private int sendBytes;
  private boolean fastZero;

  /** Where the data is if it is not in the reply's room. Others than the owner: with the lock. */
  private @Nullable Loan loan;

  /** Reads that have to complete first, if it is more than one. Whoever completes them. */
  private final AtomicInteger parts = new AtomicInteger();

  private boolean inParts;
  private volatile int partError;

  /**
   * Whether it completed on the connection's thread and waits for the end of the batch. Its own.
   */
  boolean done;

  /** Whether the connection's thread has it in the list of the batch. Its own. */
  boolean inBatch;

  /** Whether the device has it and will complete it. The connection's thread's own. */
  boolean withDevice;

  /** What the request counts as, and when it began; null if it was refused. */
  NbdMetrics.@Nullable Requests kind;

  long begunNanos;

  /** The next in whichever list it is: spare, or completed late. */
  @Nullable Reply next;

  Reply(ReplyQueue queue) {
    this.queue = queue;
  }

  void begin(
      ReplyFormat replyFormat,
      Request request,
      NbdMetrics.@Nullable Requests requestKind,
      long requestBegunNanos) {
    // To store a reference may cost what a fence does, which the last write's copy then holds up.
    if (format != replyFormat) {
      format = replyFormat;
    }
    if (success != Success.PLAIN) {
      success = Success.PLAIN;
    }
    if (kind != requestKind) {
      kind = requestKind;
    }
    cookie = request.cookie();
    requestOffset = request.offset();
    inParts = false;
    fastZero = request.has(NbdProtocol.CMD_FLAG_FAST_ZERO);
    begunNanos = requestBegunNanos;
    withDevice = false;
    done = false;
  }

  void place(ReplyMemory.Chunk inChunk, long atAddress, int bytes) {
    chunk = inChunk;
    address = atAddress;
    roomBytes = bytes;
  }

  /** Success is answered with data; returns where that goes. */
  long carriesData(int bytes) {
    success = Success.DATA;
    dataBytes = bytes;
    skipBytes = 0;
    return dataAddress();
  }

  /** The data begins so many bytes later than {@link #carriesData} said, and moves there. */
  void skip(int bytes) {
    skipBytes = bytes;
  }

  /** What a reply takes in memory whose data may be lent. */
  static int bytesWithLoan(ReplyFormat format, int dataBytes) {
    return format.dataHeaderBytes() + dataBytes + format.endBytes();
  }

  /**
   * Success is answered with data that is lent. The reply has room for it all the same, in which it
   * is copied if the client does not take it soon ({@link #copyLoan}).
   *
   * <p>The chunk with the data is not the last one of the reply, so that an error can follow it if
   * the memory fails while it is sent.
   */
  void carries(Loan data) {
    success = Success.LENT;
    loan = data;
    dataBytes = data.lengthBytes();
  }

  /** Where its data is, if not in the room. With the send lock. */
  @Nullable Loan loan() {
    return loan;
  }

  /** Where in the room its data is, or would be. */
  long dataAddress() {
    return address + format.dataHeaderBytes();
  }

  /**
   * Does without the loan from now on. With the send lock.
   *
   * @param bytesSent how much of the reply the client has been sent
   */
  void copyLoan(long bytesSent) {
    Loan data = Objects.requireNonNull(loan);
    loan = null;
    boolean dataIsOut = bytesSent >= format.dataHeaderBytes() + dataBytes;
    if (!dataIsOut && !data.copyTo(dataAddress())) {
      // The data's header may be out, so bytes have to follow it: what is in the room.
      long end = dataAddress() + dataBytes;
      int errorBytes =
          format.error(end, format.endBytes(), Errno.EIO, NO_TEXT, cookie, requestOffset);
      sendBytes = format.dataHeaderBytes() + dataBytes + errorBytes;
      Objects.requireNonNull(kind).failed();
    }
  }

  /** Success is answered with all of the room, which is filled in by then. */
  void carriesAll() {
    success = Success.PREPARED;
  }

  /** So many completions make one: the first error among them, if any. */
  void awaitParts(int count) {
    inParts = true;
    partError = 0;
    parts.set(count);
  }

  /** Where it is sent from. */
  long address() {
    return address;
  }

  /** What is sent, once it is complete. */
  int sendBytes() {
    return sendBytes;
  }

  /** Its place may be used again. Only with the send lock. */
  void release() {
    loan = null;
    Objects.requireNonNull(chunk).release();
    chunk = null;
  }

  @Override
  public void complete(int errno) {
    int error = errno;
    if (inParts) {
      if (errno != 0) {
        partError = errno;
      }
      if (parts.decrementAndGet() > 0) {
        return;
      }
      error = partError;
    }
    if (error == 0) {
      sendBytes = succeed();
    } else {
      int onWire = Request.errorOnWire(error, fastZero);
      sendBytes = format.error(address, roomBytes, onWire, text(error), cookie, requestOffset);
      if (kind != null) {
        kind.failed();
      }
    }
    queue.completed(this);
  }

  private static byte[] text(int errno) {
    try {
      return Errno.text(errno).getBytes(StandardCharsets.UTF_8);
    } catch (OutOfMemoryError e) {
      return NO_TEXT; // which may be the error that this tells of
    }
  }

  private int succeed() {
    return switch (success) {
      case PLAIN -> format.success(address, cookie, requestOffset);
      case DATA -> {
        if (skipBytes > 0) {
          NativeMemory.copy(dataAddress() + skipBytes, dataAddress(), dataBytes);
        }
        yield format.data(address, true, cookie, requestOffset, requestOffset, dataBytes)
            + dataBytes;
      }
      case LENT -> {
        int header = format.data(address, false, cookie, requestOffset, requestOffset, dataBytes);
        yield header + dataBytes + format.end(dataAddress() + dataBytes, cookie, requestOffset);
      }
      case PREPARED -> roomBytes;
    };
  }

  /** In place of the device: the request is refused. */
  void refuse(Refusal refusal) {
    sendBytes =
        format.error(address, roomBytes, refusal.error(), refusal.text(), cookie, requestOffset);
    queue.completed(this);
  }
}
