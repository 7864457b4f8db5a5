package jpcache.nbd;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;
import jpcache.metrics.Registry;

/**
 * Serves block devices over NBD, on TCP and unix sockets.
 *
 * <p>Threads: one that accepts, and one for each connection; all are platform threads, since they
 * block in system calls, and daemons. Requests that miss the cache complete on the device's
 * threads, which never wait for a client.
 *
 * <p>The server does not own its devices: close them after {@link #stop}.
 */
public final class NbdServer implements AutoCloseable {
  /** When descriptors or memory run out, accepting pauses for so long. */
  private static final int EXHAUSTED_PAUSE_MS = 100;

  /** A client that comes and goes at the limit of connections does not fill the log. */
  private static final long FULL_QUIET_NANOS = 1_000_000_000;

  private static final int READY_EVENTS = 6;
  private static final int EVENTS = 4;

  private static final Logger LOG = System.getLogger("jpcache.nbd");

  private final ServerState state;
  private final List<ListenSocket> listeners;
  private final Wakeup stopAccepting;
  private final Thread acceptor;
  private final Set<Connection> connections = ConcurrentHashMap.newKeySet();

  /** Nobody accepts any more. With the monitor. */
  private boolean stopped;

  // The accepting thread's.
  private final Shortage shortage = new Shortage();
  private long accepted;
  private boolean toldFull;
  private long fullQuietUntilNanos = System.nanoTime();
  private boolean begun;

  private NbdServer(ServerState state, List<ListenSocket> listeners) {
    this.state = state;
    this.listeners = listeners;
    this.stopAccepting = new Wakeup();
    this.acceptor = Thread.ofPlatform().daemon().name("nbd-accept").unstarted(this::acceptAll);
  }

  /**
   * Listens on all addresses of {@code options} and serves; clients can connect when this returns.
   *
   * @param exports the first is also the default export
   * @throws UserException if an address cannot be listened on: then none is
   */
  public static NbdServer start(NbdServerOptions options, List<Export> exports) {
    return start(options, Exports.of(exports));
  }

  /**
   * Listens on all addresses of {@code options} and serves; clients can connect when this returns.
   *
   * @throws UserException if an address cannot be listened on: then none is
   */
  public static NbdServer start(NbdServerOptions options, Exports exports) {
    NbdServer server = open(options, exports);
    server.begin();
    return server;
  }

  /**
   * Listens on all addresses of {@code options}. Clients that come wait until {@link #begin}.
   *
   * @throws UserException if an address cannot be listened on: then none is
   */
  public static NbdServer open(NbdServerOptions options, Exports exports) {
    ServerState state = new ServerState(exports, options);
    List<ListenSocket> listeners = new ArrayList<>();
    try {
      Listening listening = options.listening();
      for (InheritedSocket socket : listening.inherited()) {
        listeners.add(ListenSocket.inherit(socket, listening));
      }
      for (NbdUri address : listening.addresses()) {
        listeners.add(ListenSocket.open(address, listening));
      }
      return new NbdServer(state, List.copyOf(listeners));
    } catch (RuntimeException | Error e) {
      listeners.forEach(ListenSocket::close);
      throw e;
    }
  }

  /** Takes up clients. */
  public synchronized void begin() {
    acceptor.start();
    begun = true;
  }

  /** Where it listens, with the ports that the system chose and the exports that were named. */
  public List<NbdUri> addresses() {
    return listeners.stream().map(ListenSocket::address).toList();
  }

  /** Has what this server counts shown by a registry. */
  public void register(Registry registry) {
    registry.gauge("jpcache_nbd_connections", "", "Clients that are connected.", connections::size);
    state.metrics().register(registry);
  }

  /** How many clients are connected. */
  public int connections() {
    return connections.size();
  }

  /**
   * Ends in order: no more connections; what is under way is answered; further requests are refused
   * with ESHUTDOWN; then every connection is closed. Takes no longer than the options allow.
   *
   * @return false if requests were still under way when time was up: the devices must not be closed
   */
  public synchronized boolean stop() {
    long deadline = System.nanoTime() + state.options().stopTimeoutMs() * 1_000_000L;
    try {
      if (!stopped) {
        if (!state.stopping()) {
          state.stop();
          stopAccepting.raise();
        }
        acceptor.join();
        if (!begun) {
          listeners.forEach(ListenSocket::close); // which otherwise the acceptor does
        }
        stopAccepting.close();
        stopped = true;
      }
      connections.forEach(Connection::wake);
      boolean all = true;
      for (Connection connection : connections) {
        all &= connection.awaitEnd(deadline);
      }
      if (!all) {
        LOG.log(Level.WARNING, "{0} connections did not end in time", connections.size());
      }
      return all;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return stopped && connections.isEmpty(); // who still accepts may add another one
    }
  }

  @Override
  public void close() {
    stop();
  }

  // ---- The accepting thread ----------------------------------------------------------------

  private void acceptAll() {
    int count = listeners.size() + 1;
    long polls = NativeMemory.allocate((long) count * Sockets.POLL_BYTES + Long.BYTES);
    try {
      watch(polls, stopAccepting.fd());
      for (int i = 0; i < listeners.size(); i++) {
        watch(polls + (long) (i + 1) * Sockets.POLL_BYTES, listeners.get(i).fd());
      }
      while (!state.stopping()) {
        Sockets.poll(polls, count, -1);
        boolean pauses = false;
        for (int i = 0; i < listeners.size() && !state.stopping(); i++) {
          if (NativeMemory.hostShort(polls + (long) (i + 1) * Sockets.POLL_BYTES + READY_EVENTS)
              != 0) {
            pauses |= !accept(listeners.get(i));
          }
        }
        if (pauses) {
          Sockets.poll(polls, 1, EXHAUSTED_PAUSE_MS);
        }
      }
    } finally {
      NativeMemory.free(polls, (long) count * Sockets.POLL_BYTES + Long.BYTES);
      listeners.forEach(ListenSocket::close);
    }
  }

  private static void watch(long poll, int fd) {
    NativeMemory.hostInt(poll, fd);
    NativeMemory.hostShort(poll + EVENTS, (short) Sockets.POLLIN);
  }

  /** Told once until there is room again: who is turned away sees nothing but the end. */
  private void refuseBeyondLimit(int fd) {
    state.metrics().refusedConnection();
    long now = System.nanoTime();
    if (!toldFull && now - fullQuietUntilNanos >= 0) {
      toldFull = true;
      fullQuietUntilNanos = now + FULL_QUIET_NANOS;
      LOG.log(
          Level.WARNING,
          "refused {0}: {1} connections are the limit; --max-connections allows more",
          SocketAddress.ofPeer(fd),
          Integer.toString(state.options().maxConnections()));
    }
    Posix.close(fd);
  }

  /** Takes one connection; false if the process or the system has run out of something. */
  private boolean accept(ListenSocket listener) {
    int fd = Sockets.accept(listener.fd());
    if (fd < 0) {
      if (fd == -Errno.EMFILE
          || fd == -Errno.ENFILE
          || fd == -Errno.ENOBUFS
          || fd == -Errno.ENOMEM) {
        return ranOut("cannot accept a connection: " + Errno.text(-fd));
      }
      return true; // the client left again, or the network has an opinion: not the server's matter
    }
    if (connections.size() >= state.options().maxConnections()) {
      refuseBeyondLimit(fd);
      return true;
    }
    toldFull = false;
    try {
      accepted++;
      Connection connection =
          new Connection(fd, "nbd-" + accepted, state, listener.tls(), connections::remove);
      connections.add(connection);
      try {
        connection.start();
      } catch (OutOfMemoryError e) {
        connections.remove(connection);
        throw e;
      }
    } catch (UserException | OutOfMemoryError e) {
      return ranOut("cannot serve a connection: " + e.getMessage());
    }
    if (shortage.isOver(System.nanoTime())) {
      LOG.log(Level.INFO, "connections are accepted again");
    }
    return true;
  }

  private boolean ranOut(String what) {
    if (shortage.begins(System.nanoTime())) {
      LOG.log(Level.WARNING, what + "; that is not told again before it is over");
    }
    return false;
  }
}
