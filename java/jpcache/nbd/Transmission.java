package jpcache.nbd;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.metrics.Counters;
import org.jspecify.annotations.Nullable;

/**
 * The transmission phase of one connection, on the connection's thread.
 *
 * <p>Life of a batch: one receive takes what has arrived; all whole requests in it are validated
 * and handed to the device where they lie (reads go straight into their replies, writes come
 * straight out of the receive buffer); one commit makes the writes durable; one send answers all
 * that is complete. Reads that missed the cache are answered later, by themselves, by whoever
 * completes them ({@link ReplyQueue}). Then it begins again, and the thread sleeps only when
 * nothing has arrived.
 *
 * <p>Back-pressure: while the replies of a client take all the memory they may, no more is received
 * from it.
 */
final class Transmission {
  /**
   * Of a write that is too large, up to this much is read and thrown away to keep the connection.
   */
  static final long MAX_DISCARD_BYTES = 4L * Request.MAX_BYTES;

  /** After so long without a request, memory beyond the least goes back to the system. */
  private static final int IDLE_MS = 100;

  /** While stopping: a client that sends nothing for so long has nothing more to be refused. */
  private static final int QUIET_MS = 20;

  /** While stopping: so long requests are refused politely, then they are not read any more. */
  private static final int REFUSE_MS = 1000;

  private static final Logger LOG = System.getLogger("jpcache.nbd");

  private final ServerState state;
  private final Export export;
  private final Transport transport;
  private final ReceiveBuffer received;
  private final ReplyQueue replies;
  private final BlockQueue queue;
  private final NbdMetrics metrics;
  private final Counters.Stripe<NbdMetrics.Event> counters;
  private final BusyPolling polling;
  private final Request request = new Request();

  /** No more requests are read: the client left, asked to leave, or talks nonsense. */
  private boolean ended;

  /** The next request waits for replies to go out. */
  private boolean throttled;

  /** What the request that is arriving needs to be whole. */
  private int wantedBytes = NbdProtocol.REQUEST_HEADER_BYTES;

  private long discardBytes;
  private int discardError;
  private @Nullable Reply discardReply;
  private boolean idle;

  Transmission(
      ServerState state,
      Export export,
      Transport transport,
      ReceiveBuffer received,
      ReplyQueue replies,
      BlockQueue queue,
      Counters.Stripe<NbdMetrics.Event> counters) {
    this.state = state;
    this.export = export;
    this.transport = transport;
    this.received = received;
    this.replies = replies;
    this.queue = queue;
    this.counters = counters;
    this.metrics = state.metrics();
    this.polling = new BusyPolling(state.options().pollMicros());
  }

  /**
   * Serves until the client or the server ends it; what can be answered has been when it returns.
   */
  void run() {
    boolean arrived = received.available() > 0;
    state.countBusy(1);
    try {
      while (true) {
        arrived = arrived || (mayReceive() && receive());
        boolean handled = handleArrived();
        replies.send();
        if (replies.peerGone() || (ended && replies.allAnswered()) || giveUp()) {
          return;
        }
        boolean progress = arrived || handled;
        arrived = !progress && await();
      }
    } finally {
      end();
      state.countBusy(-1);
    }
  }

  private boolean mayReceive() {
    return !ended && !throttled;
  }

  /** Whether something has arrived; the end of the stream ends the transmission. */
  private boolean receive() {
    received.makeRoomFor(wantedBytes);
    long n = transport.receive(received.writeAddress(), received.room());
    if (n > 0) {
      received.received((int) n);
      return true;
    }
    if (n != -Errno.EAGAIN) {
      end();
    }
    return false;
  }

  private void end() {
    ended = true;
    if (discardReply != null) {
      discardReply.complete(discardError); // the rest of its payload will not come
      discardReply = null;
    }
  }

  // ---- Requests ----------------------------------------------------------------------------

  /** Hands every whole request over and commits; whether there was any. */
  private boolean handleArrived() {
    boolean any = false;
    throttled = false;
    wantedBytes = NbdProtocol.REQUEST_HEADER_BYTES;
    while (!ended && discarded() && received.available() >= NbdProtocol.REQUEST_HEADER_BYTES) {
      if (!handleOne()) {
        break;
      }
      any = true;
    }
    if (any) {
      queue.commit();
    }
    return any;
  }

  /** Handles the request that lies first; false if it must wait. */
  private boolean handleOne() {
    if (!request.decode(received.readAddress())) {
      LOG.log(Level.DEBUG, "a request has the wrong magic: closing");
      end();
      return false;
    }
    if (request.type() == NbdProtocol.CMD_DISC) {
      end();
      return true;
    }
    int error = state.stopping() ? Errno.ESHUTDOWN : request.verdict(export);
    boolean read = request.type() == NbdProtocol.CMD_READ;
    boolean write = request.type() == NbdProtocol.CMD_WRITE;
    long payload = request.payloadBytes();
    if (error == 0 && received.available() - NbdProtocol.REQUEST_HEADER_BYTES < payload) {
      wantedBytes = NbdProtocol.REQUEST_HEADER_BYTES + (int) payload;
      return false; // nothing of a write is done before all of it is here
    }
    if (payload > MAX_DISCARD_BYTES) {
      LOG.log(Level.DEBUG, "a write of {0} bytes: closing", payload);
      end();
      return false;
    }
    NbdMetrics.Requests kind = error == 0 ? kind(read, write) : null;
    Reply reply =
        replies.begin(request.cookie(), error == 0 && read ? request.length() : 0, write, kind);
    if (reply == null) {
      throttled = true;
      return false;
    }
    long payloadAddress = received.readAddress() + NbdProtocol.REQUEST_HEADER_BYTES;
    if (kind == null) {
      refuse(reply, error, payload);
      return true;
    }
    kind.begin(counters, request.length());
    if (read) {
      queue.read(request.offset(), request.length(), reply.dataAddress(), reply);
    } else if (write) {
      queue.write(request.offset(), request.length(), payloadAddress, request.fua(), reply);
    } else {
      queue.flush(reply);
    }
    // The bytes stay where they are until the next receive, which comes after the commit.
    received.take(NbdProtocol.REQUEST_HEADER_BYTES + (int) payload);
    return true;
  }

  private NbdMetrics.Requests kind(boolean read, boolean write) {
    return read ? metrics.reads : write ? metrics.writes : metrics.flushes;
  }

  /** Answers with an error, once the payload that nobody wants is out of the way. */
  private void refuse(Reply reply, int error, long payload) {
    counters.add(NbdMetrics.Event.REFUSED, 1);
    received.take(NbdProtocol.REQUEST_HEADER_BYTES);
    discardBytes = payload;
    discardError = error;
    discardReply = reply;
    discarded();
  }

  /** Throws away what has arrived of an unwanted payload; whether all of that has. */
  private boolean discarded() {
    if (discardReply == null) {
      return true;
    }
    int n = (int) Math.min(discardBytes, received.available());
    received.take(n);
    discardBytes -= n;
    if (discardBytes > 0) {
      return false;
    }
    discardReply.complete(discardError);
    discardReply = null;
    return true;
  }

  // ---- Waiting -----------------------------------------------------------------------------

  /** Waits for something to do: polls a while, then sleeps. True if bytes were received. */
  private boolean await() {
    if (!mayReceive()) {
      if (replies.prepareToWait()) {
        return false;
      }
    } else if (!replies.hasUnsent() && pollBriefly()) {
      return true;
    }
    int events = (mayReceive() ? Sockets.POLLIN : 0) | (replies.hasUnsent() ? Sockets.POLLOUT : 0);
    state.countBusy(-1);
    int ready = transport.await(events, sleepMs());
    state.countBusy(1);
    if (ready == 0) {
      quiet();
    } else {
      idle = false;
    }
    boolean unreachable = (ready & (Sockets.POLLERR | Sockets.POLLNVAL)) != 0;
    boolean hungUp = (ready & Sockets.POLLHUP) != 0 && (ready & Sockets.POLLIN) == 0;
    if (unreachable || hungUp) {
      replies.abandonPeer();
    }
    return false;
  }

  private boolean pollBriefly() {
    long nanos = polling.nanos(state.coresToSpare());
    if (nanos == 0) {
      return false;
    }
    long deadline = System.nanoTime() + nanos;
    do {
      if (receive()) {
        polling.found();
        return true;
      }
      if (ended || transport.wakeup().isRaised()) {
        return false;
      }
      Thread.onSpinWait();
    } while (System.nanoTime() < deadline);
    polling.foundNothing();
    return false;
  }

  private int sleepMs() {
    if (state.stopping()) {
      return QUIET_MS;
    }
    return idle ? -1 : IDLE_MS;
  }

  /** Nothing has happened for a while. */
  private void quiet() {
    if (state.stopping()) {
      if (replies.allAnswered()) {
        end();
      }
    } else if (!idle) {
      idle = replies.allAnswered();
      received.shrink();
      replies.trim();
    }
  }

  /** While stopping: whether waiting for this client's replies has to end. */
  private boolean giveUp() {
    if (state.stoppingLongerThan(REFUSE_MS) && !ended) {
      end();
    }
    return state.stoppingLongerThan(state.options().stopTimeoutMs() * 6L / 10);
  }
}
