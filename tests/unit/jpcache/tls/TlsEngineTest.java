package jpcache.tls;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Sessions between the server's side and clients of the JDK and of Bouncy Castle, in memory. */
class TlsEngineTest {
  private static final byte[] KEY = TlsClient.alicesKey();

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private Path certificates;
  private Path psk;

  @BeforeEach
  void writeKeys() throws IOException {
    certificates = directory.resolve("tls");
    authority.writeServer(certificates, authority.issue("server"));
    psk = directory.resolve("keys.psk");
    Files.writeString(psk, "# users\nalice:" + HexFormat.of().formatHex(KEY) + "\n");
  }

  private TlsKeys keys(ClientCertificates clients) {
    return TlsKeys.load(certificates, psk, clients);
  }

  @ParameterizedTest
  @CsvSource({"EC,256", "EC,384", "EC,521", "RSA,2048", "Ed25519,0"})
  void keysOfEachKindAreGoodForASessionOnBothSides(String algorithm, int bits) throws IOException {
    authority.writeServer(
        certificates,
        authority.issue("server", algorithm, bits, Instant.now().plus(Duration.ofHours(1))));

    TlsTalk anonymous = new TlsTalk(keys(ClientCertificates.IGNORED), x509(null));
    anonymous.mustEcho("over a session");
    assertEquals("a client without a certificate", anonymous.server.peer());

    TestAuthority.Identity host =
        authority.issue("host", algorithm, bits, Instant.now().plus(Duration.ofHours(1)));
    TlsTalk known = new TlsTalk(keys(ClientCertificates.REQUIRED), x509(host));
    known.mustEcho("both have such a key");
    assertEquals("CN=host", known.server.peer());
  }

  @Test
  void aClientWithAPreSharedKeyIsKnownByItsName() throws IOException {
    TlsTalk talk = new TlsTalk(keys(ClientCertificates.REQUIRED), TlsClient.alice());

    talk.mustEcho("no certificate needed");
    assertEquals("user alice", talk.server.peer());
  }

  @Test
  void preSharedKeysDoWithoutCertificates() throws IOException {
    TlsKeys alone = TlsKeys.load(null, psk, ClientCertificates.IGNORED);

    new TlsTalk(alone, TlsClient.alice()).mustEcho("alone");
    assertEquals("the client named no pre-shared key", new TlsTalk(alone, x509(null)).mustFail());
  }

  @Test
  void aWrongKeyAndAnUnknownUserAreRefusedByName() throws IOException {
    TlsKeys alone = TlsKeys.load(null, psk, ClientCertificates.IGNORED);
    byte[] wrong = KEY.clone();
    wrong[3] ^= 1;

    assertEquals(
        "the key of user alice is another one than the client's",
        new TlsTalk(alone, TlsClient.psk("alice", wrong)).mustFail());
    assertEquals(
        "there is no key of user bob in " + psk,
        new TlsTalk(alone, TlsClient.psk("bob", KEY)).mustFail());
  }

  @ParameterizedTest
  @EnumSource(
      value = ClientCertificates.class,
      names = {"OPTIONAL", "REQUIRED"})
  void aClientWhoseCertificateTheAuthoritySignedIsKnownByItsName(ClientCertificates clients)
      throws IOException {
    TlsTalk talk = new TlsTalk(keys(clients), x509(authority.issue("backup host")));

    talk.mustEcho("with a certificate");
    assertEquals("CN=backup host", talk.server.peer());
  }

  @Test
  void aClientWithoutACertificateIsRefusedOnlyIfOneIsRequired() throws IOException {
    new TlsTalk(keys(ClientCertificates.OPTIONAL), x509(null)).mustEcho("optional");
    assertEquals(
        "the client has no certificate",
        new TlsTalk(keys(ClientCertificates.REQUIRED), x509(null)).mustFail());
  }

  @ParameterizedTest
  @EnumSource(
      value = ClientCertificates.class,
      names = {"OPTIONAL", "REQUIRED"})
  void anExpiredOrForeignCertificateIsRefusedWithTheReason(ClientCertificates clients)
      throws IOException {
    Instant end = Instant.parse("2020-02-02T02:02:02Z");
    assertEquals(
        "the certificate of CN=old host expired on 2020-02-02T02:02:02Z",
        new TlsTalk(keys(clients), x509(authority.issue("old host", "EC", 256, end))).mustFail());

    // The same name as the authority's: only the signature tells them apart.
    TestAuthority other = new TestAuthority("authority");
    assertEquals(
        "the certificate of CN=stranger was not signed by an authority in ca-cert.pem",
        new TlsTalk(keys(clients), x509(other.issue("stranger"))).mustFail());
  }

  @ParameterizedTest
  @EnumSource(
      value = ClientCertificates.class,
      names = {"OPTIONAL", "REQUIRED"})
  void aNameCannotMoveTheCursorOrFillTheLog(ClientCertificates clients) throws IOException {
    String nasty = "a\nWARNING b\u001b[2J\u009b2J\u202e\u2028" + "c".repeat(1000);

    TestAuthority.Identity stranger = new TestAuthority("authority").issue(nasty);
    mustBePrintable(new TlsTalk(keys(clients), x509(stranger)).mustFail());

    Instant end = Instant.parse("2020-02-02T02:02:02Z");
    TestAuthority.Identity old = authority.issue(nasty, "EC", 256, end);
    mustBePrintable(new TlsTalk(keys(clients), x509(old)).mustFail());

    TlsTalk known = new TlsTalk(keys(clients), x509(authority.issue(nasty)));
    known.handshake();
    mustBePrintable(known.server.peer());

    TlsKeys alone = TlsKeys.load(null, psk, ClientCertificates.IGNORED);
    mustBePrintable(new TlsTalk(alone, TlsClient.psk(nasty, KEY)).mustFail());
  }

  private static void mustBePrintable(String text) {
    assertTrue(text.contains("a?WARNING b?[2J?2J??ccc"), text);
    assertTrue(text.length() < 300, text);
    assertTrue(text.matches("[\\x20-\\x7e]+"), text);
  }

  @Test
  void aCertificateOfAnAuthorityOfAnotherNameIsForeign() {
    TestAuthority.Identity stranger = new TestAuthority("other").issue("stranger");

    ClientTrust.Refusal refusal =
        new ClientTrust(certificates).check(List.of(stranger.certificate()));

    assertEquals(
        "the certificate of CN=stranger was not signed by an authority in ca-cert.pem",
        Objects.requireNonNull(refusal).reason());
  }

  @Test
  void whatTheClientThinksOfTheServersCertificateIsTold() throws IOException {
    TlsClient distrustful = TlsClient.x509(new TestAuthority("other").certificate(), null);

    assertEquals(
        "the client refused: certificate_unknown",
        new TlsTalk(keys(ClientCertificates.IGNORED), distrustful).mustFail());
  }

  @Test
  void nothingOlderThanTls13IsSpoken() throws IOException {
    TlsClient old = TlsClient.x509(authority.certificate(), null, "TLSv1.2");

    String reason = new TlsTalk(keys(ClientCertificates.IGNORED), old).mustFail();

    assertTrue(reason.startsWith("protocol_version"), reason);
  }

  @Test
  void bytesArriveAsTheyWereWrittenHoweverTheyAreCut() throws IOException {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    byte[] data = new byte[100_000];
    random.nextBytes(data);
    TlsTalk talk = new TlsTalk(keys(ClientCertificates.IGNORED), x509(null));
    talk.handshake();

    talk.client.write(data);
    byte[] wire = talk.client.take();
    ByteArrayOutputStream read = new ByteArrayOutputStream();
    byte[] room = new byte[TlsEngine.MAX_PART_BYTES];
    for (int at = 0; at < wire.length; ) {
      int part = Math.min(wire.length - at, 1 + random.nextInt(1 + random.nextInt(room.length)));
      System.arraycopy(wire, at, room, 0, part);
      talk.server.offer(room, part);
      at += part;
      while (talk.server.available() > 0) {
        int n = talk.server.read(room, 0, 1 + random.nextInt(room.length));
        read.write(room, 0, n);
      }
    }

    assertArrayEquals(data, read.toByteArray(), "seed " + seed);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aSessionThatTheClientClosesHasEndedButNotFailedAndCanBeWrittenTo(boolean psk)
      throws IOException {
    TlsClient client = psk ? TlsClient.alice() : x509(null);
    TlsTalk talk = new TlsTalk(keys(ClientCertificates.IGNORED), client);
    talk.handshake();
    byte[] closeNotify = closeNotify(talk.client);

    talk.server.offer(closeNotify, closeNotify.length);

    assertTrue(talk.server.ended());
    assertEquals("", talk.server.failure());
    assertEquals(0, talk.server.pending());
    assertTrue(talk.server.write("late".getBytes(UTF_8), 0, 4));
    talk.exchange();
    assertEquals("late", new String(talk.client.read(), UTF_8));

    talk.server.close();
    assertTrue(talk.server.pending() > 0);
    assertFalse(talk.server.write(new byte[1], 0, 1));
  }

  @Test
  void whatComesBehindTheEndOfASessionCountsForNothing() throws IOException {
    TlsTalk talk = new TlsTalk(keys(ClientCertificates.IGNORED), TlsClient.alice());
    talk.handshake();
    talk.client.close();
    talk.client.write(new byte[100]);
    byte[] both = talk.client.take();

    talk.server.offer(both, both.length);

    assertTrue(talk.server.ended());
    assertEquals(0, talk.server.available());
    assertEquals("", talk.server.failure());
  }

  private static byte[] closeNotify(TlsClient client) throws IOException {
    client.close();
    return client.take();
  }

  private TlsClient x509(TestAuthority.@Nullable Identity own) {
    return TlsClient.x509(authority.certificate(), own);
  }
}
