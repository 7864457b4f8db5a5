package jpcache.nbd;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Objects;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.block.BlockQueue;
import jpcache.metrics.Counters;
import org.jspecify.annotations.Nullable;

/**
 * The transmission phase of one connection, on the connection's thread.
 *
 * <p>Life of a batch: one receive takes what has arrived; all whole requests in it are validated
 * and handed to the device where they lie ({@link RequestHandler}); one commit makes the writes
 * durable; one send answers all that is complete. Reads that missed the cache are answered later,
 * by themselves, by whoever completes them ({@link ReplyQueue}). Then it begins again, and the
 * thread sleeps only when nothing has arrived.
 *
 * <p>Back-pressure: while the replies of a client take all the memory they may, no more is received
 * from it.
 */
final class Transmission {
  /**
   * Of a write that is too large, up to this much is read and thrown away to keep the connection.
   * (With extended headers the protocol wants it closed.)
   */
  static final long MAX_DISCARD_BYTES = 4L * Request.MAX_BYTES;

  /** After so long without a request, memory beyond the least goes back to the system. */
  private static final int IDLE_MS = 100;

  /** While stopping: a client that sends nothing for so long has nothing more to be refused. */
  private static final int QUIET_MS = 20;

  /** While stopping: so long requests are refused politely, then they are not read any more. */
  static final int REFUSE_MS = 1000;

  /** While polling, between two looks. */
  private static final long LOOK_NANOS = 1000;

  private static final Logger LOG = System.getLogger("jpcache.nbd");

  private final ServerState state;
  private final Transport transport;
  private final ReceiveBuffer received;
  private final ReplyQueue replies;
  private final BlockQueue queue;
  private final Counters.Stripe<NbdMetrics.Event> counters;
  private final BusyPolling polling;
  private final Moderation moderation = new Moderation();
  private final ReplyFormat format;
  private final int headerBytes;
  private final Request request;
  private final RequestHandler handler;

  /** No more requests are read: the client left, asked to leave, or talks nonsense. */
  private boolean ended;

  /** The next request waits for replies to go out. */
  private boolean throttled;

  /** What the request that is arriving needs to be whole. */
  private int wantedBytes;

  private long discardBytes;
  private @Nullable Refusal discardRefusal;
  private @Nullable Reply discardReply;
  private boolean idle;

  Transmission(
      ServerState state,
      Session session,
      Transport transport,
      ReceiveBuffer received,
      ReplyQueue replies,
      BlockQueue queue,
      Counters.Stripe<NbdMetrics.Event> counters) {
    this.state = state;
    this.transport = transport;
    this.received = received;
    this.replies = replies;
    this.queue = queue;
    this.counters = counters;
    this.format = session.format();
    this.headerBytes = format.requestHeaderBytes();
    this.wantedBytes = headerBytes;
    this.request = new Request(session);
    this.handler = new RequestHandler(session, replies, queue, state.metrics(), counters);
    this.polling = new BusyPolling(state.options().pollMicros());
  }

  /**
   * Serves until the client or the server ends it; what can be answered has been when it returns.
   */
  void run() {
    boolean arrived = received.available() > 0;
    Posix.sleepPrecisely();
    state.countBusy(1);
    try {
      while (true) {
        arrived = arrived || (mayReceive() && receive());
        int handled = handleArrived();
        if (ended) {
          queue.abandonPrefetches(); // who has left reads nothing of them
        }
        boolean freed = replies.send();
        if (replies.peerGone() || (ended && replies.allAnswered()) || giveUp()) {
          return;
        }
        // What was throttled before the send may go on after it: nobody would wake it for that.
        boolean progress = arrived || handled > 0 || (throttled && freed);
        idle = idle && !progress;
        if (handled > 0 && moderation.answered(handled, System.nanoTime())) {
          Posix.sleep(Moderation.NAP_MICROS);
        }
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
    refuseDiscarded(); // the rest of its payload will not come
  }

  // ---- Requests ----------------------------------------------------------------------------

  /** Hands every whole request over and commits; how many there were. */
  private int handleArrived() {
    int count = 0;
    throttled = false;
    wantedBytes = headerBytes;
    boolean failed = true;
    try {
      while (!ended && discarded() && received.available() >= headerBytes) {
        if (!handleOne()) {
          break;
        }
        count++;
      }
      failed = false;
    } finally {
      if (failed) {
        handler.failReads();
      }
    }
    handler.submitReads();
    if (count > 0) {
      queue.commit();
    }
    return count;
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
    Refusal refusal = state.stopping() ? Refusal.STOPPING : request.verdict();
    long payload = request.payloadBytes();
    if (payload < 0 || payload > mostPayload()) {
      LOG.log(Level.DEBUG, "a payload of {0} bytes: closing", Long.toUnsignedString(payload));
      end();
      return false;
    }
    if (refusal == null && received.available() - headerBytes < payload) {
      wantedBytes = headerBytes + (int) payload;
      return false; // nothing of a write is done before all of it is here
    }
    long payloadAddress = received.readAddress() + headerBytes;
    if (refusal == null && payload > 0 && request.type() == NbdProtocol.CMD_BLOCK_STATUS) {
      refusal = request.filter(payloadAddress);
    }
    if (refusal != null) {
      throttled = !refuse(refusal, payload);
    } else if (handler.handle(request, payloadAddress)) {
      // The bytes stay where they are until the next receive, which comes after the commit.
      received.take(headerBytes + (int) payload);
    } else {
      throttled = true;
    }
    return !throttled;
  }

  private long mostPayload() {
    return format == ReplyFormat.EXTENDED ? Request.MAX_BYTES : MAX_DISCARD_BYTES;
  }

  /** Answers with an error, once the payload that nobody wants is out of the way. */
  private boolean refuse(Refusal refusal, long payload) {
    Reply reply = replies.begin(request, format.errorBytes(refusal.text()), null);
    if (reply == null) {
      return false;
    }
    counters.add(NbdMetrics.Event.REFUSED, 1);
    received.take(headerBytes);
    discardBytes = payload;
    discardRefusal = refusal;
    discardReply = reply;
    discarded();
    return true;
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
    refuseDiscarded();
    return true;
  }

  private void refuseDiscarded() {
    Reply reply = discardReply;
    if (reply != null) {
      discardReply = null;
      reply.refuse(Objects.requireNonNull(discardRefusal));
    }
  }

  // ---- Waiting -----------------------------------------------------------------------------

  /** Waits for something to do: polls a while, then sleeps. True if bytes were received. */
  private boolean await() {
    if (mayReceive() && !replies.hasUnsent() && pollBriefly()) {
      return true;
    }
    if (!mayReceive() && replies.prepareToWait()) { // polling may have found the end
      return false;
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
    long now = System.nanoTime();
    long deadline = now + nanos;
    do {
      // Nothing was there a moment ago, and each look takes the locks that the client needs to
      // send.
      long nextLook = now + LOOK_NANOS;
      do {
        Thread.onSpinWait();
        now = System.nanoTime();
      } while (now - nextLook < 0);
      if (receive()) {
        polling.found();
        return true;
      }
      if (ended || transport.wakeup().isRaised()) {
        return false;
      }
    } while (now - deadline < 0);
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
