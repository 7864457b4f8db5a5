package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jpcache.Seeds;
import jpcache.block.MemoryBlockDevice;
import jpcache.support.LogLines;
import jpcache.support.Soon;
import jpcache.tls.ClientCertificates;
import jpcache.tls.TestAuthority;
import jpcache.tls.TlsClient;
import jpcache.tls.TlsKeys;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** NBD over TLS: what STARTTLS grants, and that nothing is lost or mixed up in records. */
class NbdTlsTest {
  private static final int ERR_POLICY = 0x80000002;
  private static final int ERR_TLS_REQD = 0x80000005;
  private static final int MIB = 1 << 20;

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private TlsKeys keys;

  @BeforeEach
  void loadKeys() throws IOException {
    keys = authority.serverKeys(directory, ClientCertificates.OPTIONAL);
  }

  private ServedMemory serve(TlsPolicy policy) throws IOException {
    return ServedMemory.start(
        new MemoryBlockDevice(16 * MIB),
        options -> options.withListening(options.listening().withTls(policy, keys)));
  }

  private TlsClient psk() {
    return TlsClient.alice();
  }

  private TlsClient x509() {
    return TlsClient.x509(authority.certificate(), null);
  }

  @Test
  void whereTlsIsRequiredNothingIsToldBeforeIt() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.REQUIRED);
        NbdClient client = served.unix().hello()) {
      for (int option : new int[] {NbdClient.OPT_LIST, NbdClient.OPT_INFO, NbdClient.OPT_GO, 99}) {
        byte[] data = option == NbdClient.OPT_LIST ? new byte[0] : NbdClient.infoRequest("");
        assertEquals(ERR_TLS_REQD, client.option(option, data).getLast().type());
      }
      client.startTls(psk());
      assertEquals(List.of(""), client.list());
    }
  }

  @Test
  void whoDoesNotUseTlsWhereItIsRequiredIsALineInTheLog() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.REQUIRED);
        LogLines log = LogLines.of("jpcache.nbd")) {
      try (NbdClient polite = served.unix().hello()) {
        polite.startTls(psk());
        assertEquals(List.of(""), polite.list());
      }
      for (int i = 0; i < 3; i++) {
        try (NbdClient plain = served.unix().hello()) {
          plain.option(NbdClient.OPT_GO, NbdClient.infoRequest(""));
        }
      }
      ServedMemory.eventually("the end", () -> served.server.connections() == 0);
      assertEquals(1, log.lines().size(), () -> log.lines().toString());
      String line = log.lines().getFirst();
      assertTrue(line.matches("WARNING .+ came without TLS, which it must use here"), line);
    }
  }

  @Test
  void whoCameWithoutTlsIsToldByItsAddressThoughItHasGone() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.REQUIRED);
        LogLines log = LogLines.of("jpcache.nbd")) {
      NbdUri address = served.server.addresses().get(1);
      int port;
      try (Socket plain = new Socket(address.host(), address.port())) {
        port = plain.getLocalPort();
        byte[] request = NbdClient.infoRequest("");
        var out = new DataOutputStream(plain.getOutputStream());
        out.writeInt(1); // client flags: fixed newstyle
        out.writeLong(0x49484156454f5054L);
        out.writeInt(NbdClient.OPT_GO);
        out.writeInt(request.length);
        out.write(request);
        out.flush();
        plain.getInputStream().readNBytes(18 + 20); // the greeting, and the refusal's head
        plain.setSoLinger(true, 0); // reset, as by a client that closes with bytes unread
      }
      ServedMemory.eventually("the line", () -> !log.lines().isEmpty());
      String line = log.lines().getFirst();
      assertTrue(line.startsWith("WARNING 127.0.0.1:" + port + " came without TLS"), line);
    }
  }

  @Test
  void whereTlsIsOffItIsRefusedAndTheClientMayGoOn() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.OFF);
        NbdClient client = served.unix().hello()) {
      assertEquals(ERR_POLICY, client.option(NbdClient.OPT_STARTTLS, new byte[0]).getLast().type());
      assertEquals(List.of(""), client.list());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatIsWrittenIsReadBackByAnyKindOfClient(boolean overTcp) throws IOException {
    long seed = Seeds.next(NbdTlsTest.class);
    Random random = new Random(seed);
    try (ServedMemory served = serve(TlsPolicy.ON);
        NbdClient plain = served.client(overTcp);
        NbdClient psk = served.client(overTcp).hello().startTls(psk());
        NbdClient x509 = served.client(overTcp).hello().startTls(x509())) {
      plain.go("");
      for (NbdClient client : List.of(psk, x509)) {
        NbdClient.exportInfo(client.option(NbdClient.OPT_GO, NbdClient.infoRequest("", 3)));
      }
      List<NbdClient> clients = List.of(plain, psk, x509);
      for (int round = 0; round < 60; round++) {
        byte[] data = new byte[512 * (1 + random.nextInt(1 + random.nextInt(4096)))];
        random.nextBytes(data);
        long offset = 512L * random.nextInt((16 * MIB - data.length) / 512);
        clients.get(random.nextInt(3)).write(offset, data);
        assertArrayEquals(
            data, clients.get(random.nextInt(3)).read(offset, data.length), "seed " + seed);
      }
    }
  }

  /** Replies that complete on other threads meet those of the connection's, and new requests. */
  @Test
  void manyRequestsInFlightAreAllAnswered() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.REQUIRED);
        NbdClient client = served.tcp().hello().startTls(psk())) {
      NbdClient.exportInfo(client.option(NbdClient.OPT_GO, NbdClient.infoRequest("", 3)));
      byte[] data = new byte[64 << 10];
      List<Long> cookies = new ArrayList<>();
      Thread sender =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  for (int i = 0; i < 400; i++) {
                    long offset = (long) (i % 256) * data.length;
                    cookies.add(
                        i % 2 == 0
                            ? client.sendWrite(offset, data, i % 10 == 0)
                            : client.sendRead(offset, data.length));
                  }
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      List<Long> answered = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        NbdClient.Reply reply = client.receive();
        assertEquals(0, reply.error());
        answered.add(reply.cookie());
      }
      sender.join();
      answered.sort(null);
      assertEquals(cookies, answered);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void bytesBehindStartTlsAreNotTakenForEncryptedOnes() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.ON);
        NbdClient client = served.unix().hello()) {
      ByteBuffer both = ByteBuffer.allocate(16 + 16);
      both.put("IHAVEOPT".getBytes(StandardCharsets.US_ASCII)).putInt(5).putInt(0);
      both.put("IHAVEOPT".getBytes(StandardCharsets.US_ASCII)).putInt(3).putInt(0);
      client.send(both.flip());

      assertEquals(NbdClient.REP_ACK, client.optionReply(NbdClient.OPT_STARTTLS).type());
      assertThrows(IOException.class, () -> client.optionReply(NbdClient.OPT_LIST));
    }
  }

  @Test
  void startTlsTwiceIsInvalid() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.ON);
        NbdClient client = served.unix().hello().startTls(psk())) {
      assertEquals(
          NbdClient.REP_ERR_INVALID,
          client.option(NbdClient.OPT_STARTTLS, new byte[0]).getLast().type());
      assertEquals(List.of(""), client.list());
    }
  }

  @Test
  void aClientWithTheWrongKeyIsClosed() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.ON);
        NbdClient client = served.unix().hello()) {
      assertThrows(IOException.class, () -> client.startTls(TlsClient.psk("alice", new byte[16])));
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void theHandshakeHasTheTimeOfTheNegotiation() throws IOException {
    byte[] hello = psk().take();
    try (ServedMemory served =
            ServedMemory.start(
                new MemoryBlockDevice(MIB),
                options ->
                    options
                        .withNegotiationTimeoutMs(3000)
                        .withListening(options.listening().withTls(TlsPolicy.ON, keys)));
        NbdClient silent = served.unix().hello();
        NbdClient slow = served.unix().hello()) {
      silent.option(NbdClient.OPT_STARTTLS, new byte[0]);
      slow.option(NbdClient.OPT_STARTTLS, new byte[0]);
      slow.send(ByteBuffer.wrap(hello, 0, hello.length - 1));

      assertTrue(silent.closedByServer());
      assertTrue(slow.closedByServer());
      ServedMemory.eventually("nobody is connected", () -> served.server.connections() == 0);
    }
  }

  @Test
  void aHandshakeDoesNotHoldUpTheStop() throws Exception {
    Soon.within(
        3000,
        () -> {
          try (ServedMemory served = serve(TlsPolicy.ON);
              NbdClient silent = served.unix().hello()) {
            silent.option(NbdClient.OPT_STARTTLS, new byte[0]);
            return served.stopNanos();
          }
        });
  }

  /** ServedMemory's close finds what a client that is cut off at any byte leaves behind. */
  @Test
  void aClientCutOffAnywhereInTheHandshakeLeavesNothingBehind() throws IOException {
    try (ServedMemory served = serve(TlsPolicy.ON)) {
      byte[] hello = psk().take();
      for (int length = 0; length < hello.length; length += 7) {
        try (NbdClient client = served.unix().hello()) {
          client.option(NbdClient.OPT_STARTTLS, new byte[0]);
          client.send(ByteBuffer.wrap(hello, 0, length));
        }
      }
    }
  }

  /**
   * Its replies pile up to their limit and its records behind them, or TLS takes all of them:
   * others are served, and the server ends.
   */
  @ParameterizedTest
  @ValueSource(ints = {1, 64})
  void aClientThatNeverReadsHoldsNobodyUp(int reads) throws IOException {
    try (ServedMemory served =
            ServedMemory.start(
                new MemoryBlockDevice(16 * MIB),
                options ->
                    options
                        .withReplyBytes(MIB)
                        .withStopTimeoutMs(10_000)
                        .withListening(options.listening().withTls(TlsPolicy.ON, keys)));
        NbdClient deaf = served.unix().hello().startTls(psk());
        NbdClient other = served.unix().hello().startTls(x509())) {
      for (NbdClient client : List.of(deaf, other)) {
        NbdClient.exportInfo(client.option(NbdClient.OPT_GO, NbdClient.infoRequest("", 3)));
      }
      for (int i = 0; i < reads; i++) {
        deaf.sendRead(0, 256 << 10);
      }
      other.write(0, new byte[MIB]);
      assertEquals(MIB, other.read(0, MIB).length);
      assertTimeoutPreemptively(
          Duration.ofSeconds(60), () -> assertTrue(served.server.stop(), "in time"));
    }
  }
}
