package jpcache.tls;

import java.io.IOException;
import java.util.Objects;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.TlsServerProtocol;

/**
 * The server's side of one TLS session, without input or output of its own.
 *
 * <pre>
 *   from the client --- offer ---> | handshake, records | --- read ---> plaintext
 *   to the client   <--- take ---- | alerts, key update | <--- write --- plaintext
 * </pre>
 *
 * Give it what arrives in parts of at most {@link #MAX_PART_BYTES}, read all that this yields
 * before the next part, and send what is {@link #pending} before anything else is written: then it
 * holds no more than a few parts, whatever the client does.
 *
 * <p>Not for several threads at once; the caller has a lock.
 */
public final class TlsEngine {
  /** The most to {@link #offer} or {@link #write} at once: what a record carries. */
  public static final int MAX_PART_BYTES = 16 << 10;

  /**
   * A client that closes its direction may still read: TLS 1.3 lets it. (Bouncy Castle would close
   * both.)
   */
  private final class Protocol extends TlsServerProtocol {
    @Override
    protected void handleAlertWarningMessage(short description) throws IOException {
      if (description == AlertDescription.close_notify && established()) {
        ended = true;
      } else {
        super.handleAlertWarningMessage(description);
      }
    }

    /** What comes behind the end counts for nothing. */
    @Override
    protected void processRecord(short type, byte[] bytes, int offset, int length)
        throws IOException {
      if (!ended) {
        super.processRecord(type, bytes, offset, length);
      }
    }
  }

  private final HandshakeRules rules;
  private final Protocol protocol = new Protocol();
  private boolean ended;
  private String failure = "";

  /** A session whose client has not said anything yet. */
  public TlsEngine(TlsKeys keys) {
    rules = new HandshakeRules(keys);
    try {
      protocol.accept(rules);
    } catch (IOException e) {
      throw new IllegalStateException("a session that does no input or output", e);
    }
  }

  /** Whether the handshake is done: only then is there plaintext. */
  public boolean established() {
    return rules.established();
  }

  /** Whether nothing more can come from the client: it closed the session, or that failed. */
  public boolean ended() {
    return ended;
  }

  /** Why it failed, in words for the log; empty if it did not. */
  public String failure() {
    return failure;
  }

  /** Who the client is, once {@link #established}. */
  public String peer() {
    return rules.peer();
  }

  /**
   * Takes bytes that have arrived. If they are wrong the session fails, and what is pending tells
   * the client why.
   */
  public void offer(byte[] bytes, int length) {
    if (ended) {
      return;
    }
    try {
      protocol.offerInput(bytes, 0, length);
      ended |= protocol.isClosed();
    } catch (IOException e) {
      fail(e);
    }
  }

  private void fail(IOException e) {
    ended = true;
    failure =
        LogText.reason(
            Objects.requireNonNullElse(
                rules.failure(), Objects.requireNonNullElse(e.getMessage(), e.toString())));
  }

  /** Plaintext that has arrived. */
  public int available() {
    return protocol.getAvailableInputBytes();
  }

  /** Moves up to so many bytes of plaintext into an array; returns how many. */
  public int read(byte[] into, int offset, int length) {
    return protocol.readInput(into, offset, length);
  }

  /**
   * Encrypts for the client, also when that has ended its own direction. Only when {@link
   * #established}.
   *
   * @return false if the session has failed, or was closed here
   */
  public boolean write(byte[] plaintext, int offset, int length) {
    if (protocol.isClosed()) {
      return false;
    }
    try {
      protocol.writeApplicationData(plaintext, offset, length);
      return true;
    } catch (IOException e) {
      fail(e);
      return false;
    }
  }

  /** Bytes to send to the client. */
  public int pending() {
    return protocol.getAvailableOutputBytes();
  }

  /** Moves up to so many of them into an array; returns how many. */
  public int take(byte[] into, int offset, int length) {
    return protocol.readOutput(into, offset, length);
  }

  /** Nothing more is written or taken: what is pending then tells the client so. */
  public void close() {
    ended = true;
    if (!protocol.isClosed()) {
      try {
        protocol.close();
      } catch (IOException e) {
        fail(e);
      }
    }
  }
}
