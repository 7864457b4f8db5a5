package jpcache.nbd;

import java.util.Objects;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.block.Loan;
import jpcache.block.ReadBatch;
import jpcache.metrics.Counters;

/**
 * Hands good requests to the device: reads go straight into their replies, writes come straight out
 * of the receive buffer. One connection's, used by its thread.
 */
final class RequestHandler {
  /**
   * From here on a read's data is worth a look at how it lies: a shorter one is copied, and sent
   * with its neighbours, in less time than it takes to send it from somewhere else, or to leave out
   * its holes.
   */
  private static final int LONG_READ_BYTES = 64 << 10;

  private final ReplyFormat format;
  private final ReplyQueue replies;
  private final BlockQueue queue;
  private final NbdMetrics metrics;
  private final Counters.Stripe<NbdMetrics.Event> counters;
  private final ReadPlan plan = new ReadPlan();
  private final ReadBatch reads = new ReadBatch();
  private final StatusExtents status;

  RequestHandler(
      Session session,
      ReplyQueue replies,
      BlockQueue queue,
      NbdMetrics metrics,
      Counters.Stripe<NbdMetrics.Event> counters) {
    this.format = session.format();
    this.replies = replies;
    this.queue = queue;
    this.metrics = metrics;
    this.counters = counters;
    this.status = new StatusExtents(session.contexts());
  }

  /**
   * Handles a request that was found good. A read is done with the next {@link #submitReads}.
   *
   * @param payloadAddress a write's bytes, which stay where they are until the commit
   * @return false if it must wait until others have been answered: then nothing was done
   */
  boolean handle(Request request, long payloadAddress) {
    return switch (request.type()) {
      case NbdProtocol.CMD_READ -> read(request);
      case NbdProtocol.CMD_WRITE -> write(request, payloadAddress);
      case NbdProtocol.CMD_FLUSH -> flush(request);
      case NbdProtocol.CMD_TRIM -> zero(request, true, metrics.trims);
      case NbdProtocol.CMD_WRITE_ZEROES ->
          zero(request, !request.has(NbdProtocol.CMD_FLAG_NO_HOLE), metrics.zeroes);
      case NbdProtocol.CMD_CACHE -> prefetch(request);
      case NbdProtocol.CMD_BLOCK_STATUS -> blockStatus(request);
      default -> throw new IllegalArgumentException("command " + request.type());
    };
  }

  private boolean read(Request request) {
    int length = (int) request.length();
    int whole = request.wholeBytes();
    if (length >= LONG_READ_BYTES && whole == length) {
      Loan loan = replies.spareLoan();
      if (loan != null && !replies.hasRoom(Reply.bytesWithLoan(format, length))) {
        return false; // the device would count it each time
      }
      if (loan != null && queue.lend(request.offset(), length, loan)) {
        readLent(request, loan);
        return true;
      }
      if (format.chunked()
          && !request.has(NbdProtocol.CMD_FLAG_DF)
          && plan.findsHoles(queue, request.offset(), length)) {
        return readPieces(request);
      }
    }
    int bytes = format.dataHeaderBytes() + whole;
    Reply reply = replies.begin(request, bytes, metrics.reads);
    if (reply == null) {
      return false;
    }
    metrics.reads.begin(counters, length);
    long data = reply.carriesData(length);
    if (whole > length) {
      reply.skip(request.leadBytes());
    }
    add(request.offset() - request.leadBytes(), whole, data, reply);
    return true;
  }

  /** A read that is answered with data from where it lies. There is room for its reply. */
  private void readLent(Request request, Loan loan) {
    int bytes = Reply.bytesWithLoan(format, loan.lengthBytes());
    Reply reply;
    try {
      reply = Objects.requireNonNull(replies.begin(request, bytes, metrics.reads));
    } catch (RuntimeException | Error e) {
      loan.end(); // nobody else knows of it yet
      throw e;
    }
    metrics.reads.begin(counters, request.length());
    counters.add(NbdMetrics.Event.LENT_READS, 1);
    replies.answerWith(loan, reply);
    reply.complete(0);
  }

  private void add(long offsetBytes, int lengthBytes, long address, Reply reply) {
    reads.add(offsetBytes, lengthBytes, address, reply);
    reply.withDevice = true; // or in its batch, which comes to the same
    if (reads.isFull()) {
      submitReads();
    }
  }

  /** Hands over the reads that have been kept to go together. */
  void submitReads() {
    try {
      queue.readAll(reads);
    } finally {
      reads.clear();
    }
  }

  /** After a failure: the reads that have been kept are not handed over any more. */
  void failReads() {
    reads.fail(0, Errno.EIO);
    reads.clear();
  }

  /** A read of a range with holes, of which only the rest is read and sent. */
  private boolean readPieces(Request request) {
    Reply reply = replies.begin(request, plan.replyBytes(format), metrics.reads);
    if (reply == null) {
      return false;
    }
    metrics.reads.begin(counters, request.length());
    reply.carriesAll();
    int dataPieces = plan.dataPieces();
    layOut(request, reply.address());
    if (dataPieces == 0) {
      reply.complete(0);
      return true;
    }
    reply.awaitParts(dataPieces);
    int missing = dataPieces;
    try {
      long at = reply.address();
      long from = request.offset();
      for (int i = 0; i < plan.count(); i++) {
        int length = plan.lengthBytes(i);
        if (plan.isHole(i)) {
          at += format.holeChunkBytes();
        } else {
          missing--;
          add(from, length, at + format.dataHeaderBytes(), reply);
          at += format.dataHeaderBytes() + length;
        }
        from += length;
      }
    } finally {
      for (; missing > 0; missing--) {
        reply.complete(Errno.EIO); // handing over another one has failed
      }
    }
    return true;
  }

  /** The headers of all pieces: they must be there before the last read completes. */
  private void layOut(Request request, long address) {
    long at = address;
    long from = request.offset();
    for (int i = 0; i < plan.count(); i++) {
      boolean last = i == plan.count() - 1;
      int length = plan.lengthBytes(i);
      at +=
          plan.isHole(i)
              ? format.hole(at, last, request.cookie(), request.offset(), from, length)
              : format.data(at, last, request.cookie(), request.offset(), from, length) + length;
      from += length;
    }
  }

  private boolean write(Request request, long payloadAddress) {
    Reply reply = replies.begin(request, format.plainBytes, metrics.writes);
    if (reply == null) {
      return false;
    }
    metrics.writes.begin(counters, request.length());
    boolean fua = request.has(NbdProtocol.CMD_FLAG_FUA);
    reply.withDevice = true;
    queue.write(request.offset(), (int) request.length(), payloadAddress, fua, reply);
    return true;
  }

  private boolean flush(Request request) {
    Reply reply = replies.begin(request, format.plainBytes, metrics.flushes);
    if (reply == null) {
      return false;
    }
    metrics.flushes.begin(counters, 0);
    reply.withDevice = true;
    queue.flush(reply);
    return true;
  }

  private boolean zero(Request request, boolean unmap, NbdMetrics.Requests kind) {
    Reply reply = replies.begin(request, format.plainBytes, kind);
    if (reply == null) {
      return false;
    }
    kind.begin(counters, request.length());
    boolean fua = request.has(NbdProtocol.CMD_FLAG_FUA);
    reply.withDevice = true;
    queue.writeZeroes(request.offset(), request.length(), unmap, fua, reply);
    return true;
  }

  private boolean prefetch(Request request) {
    Reply reply = replies.begin(request, format.plainBytes, metrics.prefetches);
    if (reply == null) {
      return false;
    }
    metrics.prefetches.begin(counters, request.length());
    reply.withDevice = true;
    queue.prefetch(request.offset(), request.length(), reply);
    return true;
  }

  private boolean blockStatus(Request request) {
    status.describe(queue, request);
    Reply reply = replies.begin(request, status.replyBytes(format), metrics.statuses);
    if (reply == null) {
      return false;
    }
    metrics.statuses.begin(counters, 0);
    if (request.contexts() != 0) {
      status.write(format, reply.address(), request);
      reply.carriesAll();
    }
    reply.complete(0);
    return true;
  }
}
