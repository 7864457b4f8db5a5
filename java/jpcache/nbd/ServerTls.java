package jpcache.nbd;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import jpcache.tls.TlsEngine;
import jpcache.tls.TlsKeys;
import org.jspecify.annotations.Nullable;

/**
 * TLS with a server's keys. A client that is refused is one line in the log, if there has been none
 * for a second: nobody fills the log by trying.
 */
final class ServerTls implements Tls {
  private static final Logger LOG = System.getLogger("jpcache.nbd");

  private static final long QUIET_NANOS = 1_000_000_000;

  private final TlsPolicy policy;
  private final TlsKeys keys;
  private final AtomicLong quietUntilNanos = new AtomicLong(System.nanoTime());

  ServerTls(TlsPolicy policy, TlsKeys keys) {
    this.policy = policy;
    this.keys = keys;
  }

  @Override
  public TlsPolicy policy() {
    return policy;
  }

  @Override
  public @Nullable Transport begin(Transport below, long deadlineNanos, BooleanSupplier stopping) {
    TlsEngine engine = new TlsEngine(keys);
    TlsTransport transport = new TlsTransport(below, engine);
    String failure = "the server stops";
    try {
      failure = transport.handshake(deadlineNanos, stopping);
    } finally {
      if (failure != null) {
        transport.release();
      }
    }
    if (failure != null) {
      LOG.log(level(engine), "TLS with {0}: {1}", below.peer(), failure);
      return null;
    }
    LOG.log(Level.DEBUG, "TLS with {0}: {1}", below.peer(), engine.peer());
    return transport;
  }

  @Override
  public void missed(Transport plain) {
    LOG.log(level(), "{0} came without TLS, which it must use here", plain.peer());
  }

  /** Who merely leaves, or is slow, interests nobody. */
  private Level level(TlsEngine engine) {
    return engine.failure().isEmpty() ? Level.DEBUG : level();
  }

  private Level level() {
    long now = System.nanoTime();
    long quietUntil = quietUntilNanos.get();
    boolean tell =
        now - quietUntil >= 0 && quietUntilNanos.compareAndSet(quietUntil, now + QUIET_NANOS);
    return tell ? Level.WARNING : Level.DEBUG;
  }
}
