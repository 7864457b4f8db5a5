package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import jpcache.block.MemoryBlockDevice;
import jpcache.tls.ClientCertificates;
import jpcache.tls.TestAuthority;
import jpcache.tls.TlsClient;
import jpcache.tls.TlsKeys;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Clients over TLS that do not read, or do not pause, and how their connections end. */
class NbdTlsFlowTest {
  private static final int MIB = 1 << 20;

  /** Takes a moment, unless somebody waits for ever. */
  private static final Duration SOON = Duration.ofSeconds(60);

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private final MemoryBlockDevice device = new MemoryBlockDevice(16 * MIB);
  private TlsKeys keys;

  @BeforeEach
  void loadKeys() throws IOException {
    keys = authority.serverKeys(directory, ClientCertificates.OPTIONAL);
  }

  private ServedMemory serve(UnaryOperator<NbdServerOptions> settings) throws IOException {
    return ServedMemory.start(
        device,
        options ->
            settings
                .apply(options)
                .withListening(options.listening().withTls(TlsPolicy.REQUIRED, keys)));
  }

  private ServedMemory serve() throws IOException {
    return serve(options -> options);
  }

  private static TlsClient psk() {
    return TlsClient.alice();
  }

  /** A client in transmission. */
  private static NbdClient go(NbdClient client, TlsClient tls) throws IOException {
    client.hello().startTls(tls);
    NbdClient.exportInfo(client.option(NbdClient.OPT_GO, NbdClient.infoRequest("", 3)));
    return client;
  }

  // ---- Who does not read -------------------------------------------------------------------

  /** The replies fit into the records that wait for the client, or do not. */
  @ParameterizedTest
  @CsvSource({"1, 262144", "4, 1048576"})
  void aLargeWriteIsTakenBeforeItsClientReadsWhatItAskedFor(int reads, int bytes)
      throws IOException {
    try (ServedMemory served = serve();
        NbdClient client = go(served.unix(), psk())) {
      for (int i = 0; i < reads; i++) {
        client.sendRead(0, bytes);
      }
      assertTimeoutPreemptively(
          SOON,
          () -> {
            client.sendWrite(0, new byte[8 * MIB], false);
            for (int i = 0; i < reads + 1; i++) {
              assertEquals(0, client.receive().error());
            }
          });
    }
  }

  @Test
  void aThreadOfTheDevicesDoesNotStayWithAClientThatDoesNotRead() throws IOException {
    device.missWhen((offset, length) -> true);
    try (ServedMemory served = serve();
        NbdClient deaf = go(served.unix(), psk());
        NbdClient other = go(served.unix(), psk())) {
      deaf.sendRead(0, 256 << 10);
      assertTimeoutPreemptively(SOON, () -> assertEquals(512, other.read(0, 512).length));
    }
  }

  // ---- Who does not pause ------------------------------------------------------------------

  /** What is sent for the sake of old middleboxes, and means nothing. */
  private static final byte[] CHANGE_CIPHER_SPEC = {20, 3, 3, 0, 1, 1};

  private final AtomicLong flooded = new AtomicLong();

  /** Sends many of those in the middle of the handshake, until the server closes the connection. */
  private Thread flood(NbdClient client) throws IOException {
    client.hello().option(NbdClient.OPT_STARTTLS, new byte[0]);
    client.raw().write(ByteBuffer.wrap(psk().take()));
    client.raw().read(ByteBuffer.allocate(1)); // its answer: from here on they are allowed
    ByteBuffer many = ByteBuffer.allocateDirect(50_000 * CHANGE_CIPHER_SPEC.length);
    while (many.hasRemaining()) {
      many.put(CHANGE_CIPHER_SPEC);
    }
    Thread flood =
        Thread.ofPlatform()
            .start(() -> {
              try {
                while (true) {
                  flooded.addAndGet(client.raw().write(many.hasRemaining() ? many : many.rewind()));
                }
              } catch (IOException e) {
                // The end.
              }
            });
    ServedMemory.eventually("more than the socket takes", () -> flooded.get() > MIB);
    return flood;
  }

  @Test
  void recordsThatMeanNothingDoNotHoldUpTheStop() throws IOException, InterruptedException {
    try (ServedMemory served = serve();
        NbdClient client = served.unix()) {
      Thread flood = flood(client);
      assertTrue(served.server.stop(), "in time");
      assertTrue(flood.join(SOON), "closed");
    }
  }

  // ---- The end -----------------------------------------------------------------------------

  /** Reads, what ends them, and so many bytes more, as one piece of plaintext. */
  private static ByteBuffer readsAndDisc(NbdClient client, int reads, int bytes, int more) {
    ByteBuffer batch = ByteBuffer.allocate(8192 + more);
    for (int i = 0; i < reads; i++) {
      client.expectRead(i, bytes);
      batch.put(NbdClient.request(NbdClient.READ, 0, i, 0, bytes, new byte[0]));
    }
    batch.put(NbdClient.request(NbdClient.DISC, 0, reads, 0, 0, new byte[0]));
    return batch.put(new byte[more]).flip();
  }

  private static void mustBeAnswered(NbdClient client, int reads) throws IOException {
    for (int i = 0; i < reads; i++) {
      assertEquals(0, client.receive().error());
    }
    assertThrows(EOFException.class, client::receive);
  }

  /** To close a socket with bytes unread would reset it, and its client lose what is on its way. */
  @Test
  void bytesBehindTheEndDoNotCostTheClientItsReplies() throws IOException {
    try (ServedMemory served = serve();
        NbdClient client = go(served.tcp(), psk())) {
      client.send(readsAndDisc(client, 8, 32 << 10, MIB));
      ServedMemory.eventually("that the server closes", () -> served.server.connections() == 0);
      mustBeAnswered(client, 8);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aClientThatClosesItsDirectionOfTheSessionStillGetsAllReplies(boolean later)
      throws IOException {
    device.missWhen((offset, length) -> later);
    TlsClient tls = TlsClient.x509(authority.certificate(), null);
    try (ServedMemory served = serve();
        NbdClient client = go(served.tcp(), tls)) {
      ByteBuffer batch = readsAndDisc(client, 16, 64 << 10, 0);
      byte[] plain = new byte[batch.remaining()];
      batch.get(plain);
      tls.write(plain);
      tls.close();
      client.raw().write(ByteBuffer.wrap(tls.take()));
      mustBeAnswered(client, 16);
    }
  }
}
