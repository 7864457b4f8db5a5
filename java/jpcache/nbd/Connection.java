package jpcache.nbd;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.function.Consumer;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.metrics.Counters;
import org.jspecify.annotations.Nullable;

/**
 * One client, from its acceptance to its end, on a platform thread of its own.
 *
 * <p>However it ends, memory and descriptors are freed only after every request that the device was
 * given has completed: a read that is under way may still write into its reply.
 */
final class Connection {
  /** While stopping: a client in negotiation that is silent for so long is closed. */
  private static final int QUIET_MS = 20;

  /** How long the client may take to see the end and close before the socket is closed anyway. */
  private static final int LINGER_MS = 100;

  private static final Logger LOG = System.getLogger("jpcache.nbd");

  private final ServerState state;
  private final Tls tls;
  private final Consumer<Connection> onEnd;
  private Transport transport;
  private final Thread thread;
  private final ReplyQueue replies;

  /** Takes the descriptor over; {@link #start} begins. */
  Connection(int fd, String name, ServerState state, Tls tls, Consumer<Connection> onEnd) {
    this.state = state;
    this.tls = tls;
    this.onEnd = onEnd;
    this.transport = new ClientSocket(fd);
    this.thread = Thread.ofPlatform().daemon().name(name).unstarted(this::run);
    try {
      this.replies =
          new ReplyQueue(transport, thread, state.options().replyBytes(), state.metrics());
    } catch (OutOfMemoryError e) {
      transport.close();
      throw e;
    }
  }

  /** Serves on the connection's thread; if there can be none, everything is given back. */
  void start() {
    try {
      thread.start();
    } catch (OutOfMemoryError e) { // the system's limit of threads
      release();
      throw e;
    }
  }

  /** Has the thread look at the server's state. */
  void wake() {
    replies.wakeOwner();
  }

  /** Waits for the end; false if it has not come in time. */
  boolean awaitEnd(long deadlineNanos) throws InterruptedException {
    thread.join(Math.max(1, Transport.millisUntil(deadlineNanos)));
    return !thread.isAlive();
  }

  private void run() {
    try (ReceiveBuffer received = new ReceiveBuffer()) {
      Session session = negotiate(received);
      if (session != null) {
        transmit(session, received);
      }
      if (!replies.peerGone()) {
        linger(received);
      }
    } catch (RuntimeException | Error e) {
      LOG.log(Level.ERROR, thread.getName() + ": closing after an unexpected failure", e);
    } finally {
      try {
        replies.awaitOutstanding();
        release();
      } finally {
        onEnd.accept(this);
      }
    }
  }

  private void release() {
    replies.close();
    transport.close();
  }

  // ---- Negotiation -------------------------------------------------------------------------

  private @Nullable Session negotiate(ReceiveBuffer received) {
    long deadline = System.nanoTime() + state.options().negotiationTimeoutMs() * 1_000_000L;
    OptionReplies answers = new OptionReplies();
    Handshake handshake = new Handshake(state.exports(), tls.policy(), state::stopping, answers);
    Session session = negotiate(handshake, answers, received, deadline);
    if (handshake.missedTls()) {
      tls.missed(transport);
    }
    return session;
  }

  private @Nullable Session negotiate(
      Handshake handshake, OptionReplies answers, ReceiveBuffer received, long deadline) {
    Handshake.Phase phase = Handshake.Phase.CLIENT_FLAGS;
    while (transport.sendAll(answers.take(), deadline, state::stopping)) {
      if (phase == Handshake.Phase.TRANSMISSION) {
        return handshake.session();
      }
      if (phase == Handshake.Phase.STARTING_TLS) {
        if (received.available() > 0 || !encrypt(deadline)) {
          return null; // bytes that came too early are somebody else's: they were not encrypted
        }
        phase = handshake.encrypted();
      }
      if (phase == Handshake.Phase.CLOSED || !receiveMore(received, deadline)) {
        return null;
      }
      ByteBuffer in = NativeMemory.view(received.readAddress(), received.available());
      phase = handshake.accept(in);
      received.take(in.position());
    }
    return null;
  }

  private boolean encrypt(long deadline) {
    Transport encrypted = tls.begin(transport, deadline, state::stopping);
    if (encrypted == null) {
      return false;
    }
    transport = encrypted;
    replies.replaceTransport(encrypted);
    return true;
  }

  /** Waits until more has arrived; false if that is not going to happen. */
  private boolean receiveMore(ReceiveBuffer received, long deadline) {
    received.makeRoomFor(NbdProtocol.OPTION_HEADER_BYTES + Handshake.MAX_OPTION_BYTES);
    while (!state.stoppingLongerThan(Transmission.REFUSE_MS)) {
      long n = transport.receive(received.writeAddress(), received.room());
      if (n > 0) {
        received.received((int) n);
        return true;
      }
      int leftMs = Transport.millisUntil(deadline);
      if (n != -Errno.EAGAIN || leftMs == 0) {
        return false;
      }
      boolean stopping = state.stopping();
      int ready = transport.await(Sockets.POLLIN, stopping ? Math.min(leftMs, QUIET_MS) : leftMs);
      if (stopping && ready == 0) {
        return false;
      }
    }
    return false;
  }

  // ---- Transmission and end ----------------------------------------------------------------

  private void transmit(Session session, ReceiveBuffer received) {
    replies.useFormat(session.format());
    BlockQueue queue = session.export().device().openQueue();
    try (Counters.Stripe<NbdMetrics.Event> counters = state.metrics().open()) {
      counters.add(NbdMetrics.Event.CONNECTIONS, 1);
      new Transmission(state, session, transport, received, replies, queue, counters).run();
      queue.abandonPrefetches();
      if (!replies.allAnswered()) {
        replies.awaitOutstanding();
      }
    } finally {
      // After a failure, what the device was given and has not committed ends here.
      try {
        queue.close();
      } finally {
        replies.failUnsubmitted();
      }
    }
  }

  /**
   * Tells the client the end and lets it close first: to close with bytes unread would reset a TCP
   * connection, and the client could lose replies that it has not read.
   */
  private void linger(ReceiveBuffer received) {
    transport.endOutput();
    long deadline = System.nanoTime() + LINGER_MS * 1_000_000L;
    received.take(received.available());
    while (Transport.millisUntil(deadline) > 0) {
      long n = transport.receive(received.writeAddress(), received.room());
      if (n == 0 || (n < 0 && n != -Errno.EAGAIN)) {
        return;
      }
      if (n < 0) {
        transport.await(Sockets.POLLIN, Transport.millisUntil(deadline));
      }
    }
  }
}
