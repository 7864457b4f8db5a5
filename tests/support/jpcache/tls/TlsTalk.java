package jpcache.tls;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;

/** A client and a server's side of a session, with a wire between them. */
public final class TlsTalk {
  public final TlsEngine server;
  public final TlsClient client;

  public TlsTalk(TlsKeys keys, TlsClient client) {
    this.server = new TlsEngine(keys);
    this.client = client;
  }

  /** Carries bytes until neither side has any; a client that refuses the server's is silent. */
  public void exchange() throws IOException {
    boolean moved = true;
    while (moved) {
      moved = toServer(client.take());
      moved |= toClient(fromServer());
    }
  }

  /** Carries the handshake, which must succeed. */
  public void handshake() throws IOException {
    exchange();
    assertTrue(server.established(), server::failure);
    assertTrue(client.established());
  }

  /** A handshake, and bytes both ways. */
  public void mustEcho(String text) throws IOException {
    handshake();
    client.write(text.getBytes(UTF_8));
    exchange();
    byte[] got = new byte[server.available()];
    server.read(got, 0, got.length);
    assertEquals(text, new String(got, UTF_8));
    assertTrue(server.write(got, 0, got.length));
    exchange();
    assertEquals(text, new String(client.read(), UTF_8));
  }

  /** A handshake that must fail; returns the server's reason. */
  public String mustFail() {
    try {
      exchange();
    } catch (IOException e) {
      // The client has seen the server's alert, or sent its own.
      try {
        toServer(client.take());
      } catch (IOException again) {
        // It has nothing more to say.
      }
    }
    assertTrue(server.ended());
    assertFalse(server.failure().isEmpty());
    return server.failure();
  }

  /** Everything that the server has to send. */
  public byte[] fromServer() {
    byte[] bytes = new byte[server.pending()];
    server.take(bytes, 0, bytes.length);
    return bytes;
  }

  private boolean toServer(byte[] bytes) {
    for (int at = 0; at < bytes.length; at += TlsEngine.MAX_PART_BYTES) {
      byte[] part =
          Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + TlsEngine.MAX_PART_BYTES));
      server.offer(part, part.length);
    }
    return bytes.length > 0;
  }

  private boolean toClient(byte[] bytes) throws IOException {
    if (bytes.length == 0) {
      return false;
    }
    client.offer(bytes);
    return true;
  }
}
