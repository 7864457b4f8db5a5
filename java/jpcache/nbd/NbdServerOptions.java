package jpcache.nbd;

import java.util.List;
import jpcache.base.UserException;

/**
 * How a server behaves; {@link #defaults} and then {@code with...}.
 *
 * @param listening where and how it listens
 * @param pollMicros how long a connection that was just active is polled before its thread sleeps;
 *     0 never
 * @param replyBytes the memory that the unsent replies of one connection may take: what bounds a
 *     client that sends requests and reads no replies
 * @param maxConnections connections beyond this are closed at once
 * @param negotiationTimeoutMs how long a client may take from connecting to transmission
 * @param stopTimeoutMs how long {@link NbdServer#stop} waits for requests under way
 */
public record NbdServerOptions(
    Listening listening,
    int pollMicros,
    int replyBytes,
    int maxConnections,
    int negotiationTimeoutMs,
    int stopTimeoutMs) {

  /** The least memory for the unsent replies of a connection. */
  public static final int MIN_REPLY_BYTES = 1 << 20;

  /** Checks the values. */
  public NbdServerOptions {
    atLeast("poll time", pollMicros, 0, "us");
    atLeast("memory for replies", replyBytes, MIN_REPLY_BYTES, "bytes");
    atLeast("number of connections", maxConnections, 1, "");
    atLeast("time to negotiate", negotiationTimeoutMs, 1, "ms");
    atLeast("time to stop", stopTimeoutMs, 1, "ms");
  }

  private static void atLeast(String what, int value, int least, String unit) {
    if (value < least) {
      throw new UserException(
          (what + " " + value + " " + unit).strip() + ": must be at least " + least);
    }
  }

  /** Loopback, 50 us of polling, 64 MiB of replies a connection, 1024 connections. */
  public static NbdServerOptions defaults() {
    return new NbdServerOptions(
        Listening.on(NbdUri.defaultListen()), 50, 64 << 20, 1024, 10_000, 5_000);
  }

  public NbdServerOptions withListen(NbdUri... addresses) {
    return withListening(Listening.on(addresses));
  }

  public NbdServerOptions withListen(List<NbdUri> addresses) {
    return withListen(addresses.toArray(new NbdUri[0]));
  }

  public NbdServerOptions withListening(Listening how) {
    return new NbdServerOptions(
        how, pollMicros, replyBytes, maxConnections, negotiationTimeoutMs, stopTimeoutMs);
  }

  public NbdServerOptions withPollMicros(int micros) {
    return new NbdServerOptions(
        listening, micros, replyBytes, maxConnections, negotiationTimeoutMs, stopTimeoutMs);
  }

  public NbdServerOptions withReplyBytes(int bytes) {
    return new NbdServerOptions(
        listening, pollMicros, bytes, maxConnections, negotiationTimeoutMs, stopTimeoutMs);
  }

  public NbdServerOptions withMaxConnections(int connections) {
    return new NbdServerOptions(
        listening, pollMicros, replyBytes, connections, negotiationTimeoutMs, stopTimeoutMs);
  }

  public NbdServerOptions withNegotiationTimeoutMs(int timeoutMs) {
    return new NbdServerOptions(
        listening, pollMicros, replyBytes, maxConnections, timeoutMs, stopTimeoutMs);
  }

  public NbdServerOptions withStopTimeoutMs(int timeoutMs) {
    return new NbdServerOptions(
        listening, pollMicros, replyBytes, maxConnections, negotiationTimeoutMs, timeoutMs);
  }
}
