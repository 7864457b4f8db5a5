package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
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

/** Clients over TLS that do not read, or do not pause, and how their connections end. */
class NbdTlsFlowTest {
  private static final byte[] KEY = HexFormat.of().parseHex("00112233445566778899aabbccddeeff");
  private static final int MIB = 1 << 20;

  /** Takes a moment, unless somebody waits for ever. */
  private static final Duration SOON = Duration.ofSeconds(20);

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private final MemoryBlockDevice device = new MemoryBlockDevice(16 * MIB);
  private TlsKeys keys;

  @BeforeEach
  void loadKeys() throws IOException {
    authority.writeServer(directory, authority.issue("server"));
    Path psk = directory.resolve("keys.psk");
    Files.writeString(psk, "alice:" + HexFormat.of().formatHex(KEY) + "\n");
    keys = TlsKeys.load(directory, psk, ClientCertificates.OPTIONAL);
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
    return TlsClient.psk("alice", KEY);
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
}
