package jpcache.tls;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import jpcache.base.UserException;
import jpcache.support.LogLines;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is wrong with keys is told when the server starts, with the file and what to do. */
class TlsKeysTest {
  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private final TestAuthority.Identity server = authority.issue("server");

  @BeforeEach
  void writeServer() {
    authority.writeServer(directory, server);
  }

  private TlsKeys load(ClientCertificates clients) {
    return TlsKeys.load(directory, null, clients);
  }

  private String refusal() {
    return String.valueOf(
        assertThrows(UserException.class, () -> load(ClientCertificates.REQUIRED)).getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"ca-cert.pem", "server-cert.pem", "server-key.pem"})
  void aMissingFileIsNamed(String file) throws IOException {
    Files.delete(directory.resolve(file));

    assertEquals("TLS: " + directory.resolve(file) + ": no such file", refusal());
  }

  @ParameterizedTest
  @ValueSource(strings = {"ca-cert.pem", "server-cert.pem", "server-key.pem"})
  void aFileOfSomethingElseIsNamed(String file) throws IOException {
    Files.writeString(directory.resolve(file), "not a PEM file\n");

    assertTrue(refusal().startsWith("TLS: " + directory.resolve(file) + ": "), refusal());
  }

  @ParameterizedTest
  @CsvSource({
    "rw-------,",
    "rw-r-----,",
    "rw-r--r--,every user can read the keys in it: chmod o-rwx"
  })
  void keysThatEveryUserCanReadAreTold(String permissions, @Nullable String what)
      throws IOException {
    Path key = directory.resolve("server-key.pem");
    Path psk = Files.writeString(directory.resolve("keys.psk"), "alice:" + "00".repeat(16));
    for (Path secret : List.of(key, psk)) {
      Files.setPosixFilePermissions(secret, PosixFilePermissions.fromString(permissions));
    }
    try (LogLines log = LogLines.of(PemFiles.class)) {
      TlsKeys.load(directory, psk, ClientCertificates.IGNORED);
      List<String> told =
          what == null
              ? List.of()
              : List.of("WARNING TLS: " + key + ": " + what, "WARNING TLS: " + psk + ": " + what);
      assertEquals(told, log.lines());
    }
  }

  @Test
  void aFileThatHoldsNoKeysIsToldAsThatAlone() throws IOException {
    Path psk = Files.writeString(directory.resolve("passwd"), "root:x:0:0:root:/root:/bin/bash\n");
    Files.setPosixFilePermissions(psk, PosixFilePermissions.fromString("rw-r--r--"));
    try (LogLines log = LogLines.of(PemFiles.class)) {
      assertThrows(UserException.class, () -> TlsKeys.load(null, psk, ClientCertificates.IGNORED));
      assertEquals(List.of(), log.lines());
    }
  }

  @Test
  void anAuthorityIsNotNeededWhereClientsAreNotAsked() throws IOException {
    Files.delete(directory.resolve("ca-cert.pem"));

    load(ClientCertificates.IGNORED);
  }

  @Test
  void aServersCertificateThatHasExpiredIsRefusedWithItsDay() {
    Instant end = Instant.parse("2021-03-04T05:06:07Z");
    authority.writeServer(directory, authority.issue("server", "EC", 256, end));

    assertEquals(
        "TLS: "
            + directory.resolve("server-cert.pem")
            + ": expired on 2021-03-04T05:06:07Z: renew it",
        refusal());
  }

  @ParameterizedTest
  @CsvSource({"EC,256", "RSA,2048"})
  void aKeyOfAnotherCertificateIsRefused(String algorithm, int bits) throws IOException {
    TestAuthority.Identity other =
        authority.issue("other", algorithm, bits, Instant.now().plus(Duration.ofHours(1)));
    Files.writeString(directory.resolve("server-key.pem"), TestAuthority.pem(other.key()));

    assertEquals(
        "TLS: "
            + directory.resolve("server-key.pem")
            + ": not the key of "
            + directory.resolve("server-cert.pem"),
        refusal());
  }

  @Test
  void aKeyWithAPassphraseIsRefused() throws IOException {
    Files.writeString(
        directory.resolve("server-key.pem"),
        TestAuthority.pem("ENCRYPTED PRIVATE KEY", new byte[9]));

    assertTrue(refusal().contains("has a passphrase"), refusal());
  }

  @ParameterizedTest
  @CsvSource({"EC,256,EC PRIVATE KEY", "RSA,2048,RSA PRIVATE KEY"})
  void keysInTheirOlderFormAreReadWithTextAround(String algorithm, int bits, String type)
      throws IOException {
    TestAuthority.Identity own =
        authority.issue("server", algorithm, bits, Instant.now().plus(Duration.ofHours(1)));
    authority.writeServer(directory, own);
    PrivateKeyInfo pkcs8 = PrivateKeyInfo.getInstance(own.key().getEncoded());
    byte[] older = pkcs8.parsePrivateKey().toASN1Primitive().getEncoded();
    if (algorithm.equals("EC")) {
      older =
          new org.bouncycastle.asn1.sec.ECPrivateKey(
                  256,
                  org.bouncycastle.asn1.sec.ECPrivateKey.getInstance(older).getKey(),
                  pkcs8.getPrivateKeyAlgorithm().getParameters())
              .getEncoded();
    }
    Files.writeString(
        directory.resolve("server-key.pem"),
        "Key Info:\n\tstrong\n" + TestAuthority.pem(type, older) + "\ntail\n");

    new TlsTalk(load(ClientCertificates.IGNORED), TlsClient.x509(authority.certificate(), null))
        .mustEcho("by an older key");
  }

  @Test
  void neitherCertificatesNorKeysIsNoTls() {
    assertThrows(UserException.class, () -> TlsKeys.load(null, null, ClientCertificates.IGNORED));
  }

  @Test
  void clientsCertificatesNeedAnAuthority() throws IOException {
    Path psk = directory.resolve("keys.psk");
    Files.writeString(psk, "u:00112233445566778899aabbccddeeff\n");

    assertThrows(UserException.class, () -> TlsKeys.load(null, psk, ClientCertificates.REQUIRED));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "alice | line 2: not NAME:HEXKEY",
        ":00112233445566778899aabbccddeeff | line 2: not NAME:HEXKEY",
        "alice:0011zz | line 2: the key is not hexadecimal, two digits a byte",
        "alice:001 | line 2: the key is not hexadecimal, two digits a byte",
        "alice:0011 | line 2: the key has 2 bytes; it must have 16",
        "bob:ffeeddccbbaa99887766554433221100 | line 2: bob has a key already",
      })
  void aWrongLineOfKeysIsNamedWithoutTheKey(String line, String reason) throws IOException {
    Path psk = directory.resolve("keys.psk");
    Files.write(psk, List.of("bob:00112233445566778899aabbccddeeff", line));

    UserException e =
        assertThrows(
            UserException.class, () -> TlsKeys.load(null, psk, ClientCertificates.IGNORED));

    assertEquals("TLS: " + psk + ": " + reason, e.getMessage());
  }

  @Test
  void aFileWithoutAnyKeyIsRefused() throws IOException {
    Path psk = directory.resolve("keys.psk");
    Files.writeString(psk, "# nobody yet\n\n");

    assertThrows(UserException.class, () -> TlsKeys.load(null, psk, ClientCertificates.IGNORED));
  }
}
