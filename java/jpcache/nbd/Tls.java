package jpcache.nbd;

import org.jspecify.annotations.Nullable;

/** What a connection needs to be encrypted after the client's STARTTLS. */
interface Tls {
  /** What the server's owner wants. */
  enum Policy {
    /** There is no TLS. */
    OFF,
    /** Clients may begin TLS. */
    ON,
    /** Clients must begin TLS before anything else. */
    REQUIRED
  }

  Policy policy();

  /**
   * Plays the server's side of the TLS handshake, on the connection's thread.
   *
   * @param below the connection as it is; on success it belongs to the result, which closes it
   * @param deadlineNanos by {@link System#nanoTime}
   * @return the encrypted connection, or null if the handshake failed: then {@code below} can only
   *     be closed
   */
  @Nullable Transport begin(Transport below, long deadlineNanos);

  /** For servers without TLS. */
  Tls NONE =
      new Tls() {
        @Override
        public Policy policy() {
          return Policy.OFF;
        }

        @Override
        public @Nullable Transport begin(Transport below, long deadlineNanos) {
          return null;
        }
      };
}
