package jpcache.nbd;

import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** What a connection needs to be encrypted after the client's STARTTLS. */
interface Tls {
  TlsPolicy policy();

  /**
   * Plays the server's side of the TLS handshake, on the connection's thread.
   *
   * @param below the connection as it is; on success it belongs to the result, which closes it
   * @param deadlineNanos by {@link System#nanoTime}
   * @param stopping ends the wait for a client, too
   * @return the encrypted connection, or null if the handshake failed: then {@code below} can only
   *     be closed
   */
  @Nullable Transport begin(Transport below, long deadlineNanos, BooleanSupplier stopping);

  /** A client has gone that asked for something without TLS, which it must use. */
  void missed(Transport plain);

  /** For servers without TLS. */
  Tls NONE =
      new Tls() {
        @Override
        public TlsPolicy policy() {
          return TlsPolicy.OFF;
        }

        @Override
        public @Nullable Transport begin(
            Transport below, long deadlineNanos, BooleanSupplier stopping) {
          return null;
        }

        @Override
        public void missed(Transport plain) {}
      };
}
