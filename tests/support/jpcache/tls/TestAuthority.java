package jpcache.tls;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Date;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicLong;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.DERBitString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.Extensions;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.asn1.x509.TBSCertificate;
import org.bouncycastle.asn1.x509.Time;
import org.bouncycastle.asn1.x509.V3TBSCertificateGenerator;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;

/** An authority that signs certificates for tests, and writes them where servers look for them. */
public final class TestAuthority {
  /** A certificate and its key. */
  public record Identity(X509Certificate certificate, PrivateKey key) {}

  private static final AtomicLong SERIAL = new AtomicLong(1);
  private static final AlgorithmIdentifier ECDSA_SHA256 =
      new AlgorithmIdentifier(X9ObjectIdentifiers.ecdsa_with_SHA256);

  private final String name;
  private final KeyPair keys;
  private final X509Certificate certificate;

  public TestAuthority(String name) {
    this.name = name;
    keys = keyPair("EC", 256);
    Instant now = Instant.now();
    certificate =
        sign(name, keys, now.minus(Duration.ofDays(1)), now.plus(Duration.ofDays(1)), true);
  }

  public X509Certificate certificate() {
    return certificate;
  }

  /**
   * A server's keys, made in a directory: a certificate, and a pre-shared key of {@link
   * TlsClient#alice}'s.
   */
  public TlsKeys serverKeys(Path directory, ClientCertificates clients) throws IOException {
    writeServer(directory, issue("server"));
    Path psk = directory.resolve("keys.psk");
    Files.writeString(psk, "alice:" + HexFormat.of().formatHex(TlsClient.alicesKey()) + "\n");
    return TlsKeys.load(directory, psk, clients);
  }

  /** A certificate that is valid today. */
  public Identity issue(String subject) {
    return issue(subject, "EC", 256, Instant.now().plus(Duration.ofHours(1)));
  }

  /** A certificate that is valid from a day before its end. */
  public Identity issue(String subject, String algorithm, int bits, Instant end) {
    KeyPair own = keyPair(algorithm, bits);
    return new Identity(
        sign(subject, own, end.minus(Duration.ofDays(1)), end, false), own.getPrivate());
  }

  private static KeyPair keyPair(String algorithm, int bits) {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm);
      if (bits > 0) {
        generator.initialize(bits);
      }
      return generator.generateKeyPair();
    } catch (GeneralSecurityException e) {
      throw new AssertionError(e);
    }
  }

  private X509Certificate sign(
      String subject, KeyPair own, Instant from, Instant until, boolean authority) {
    try {
      V3TBSCertificateGenerator generator = new V3TBSCertificateGenerator();
      generator.setSerialNumber(new ASN1Integer(BigInteger.valueOf(SERIAL.getAndIncrement())));
      generator.setSignature(ECDSA_SHA256);
      generator.setIssuer(new X500Name("CN=" + name));
      generator.setStartDate(new Time(Date.from(from)));
      generator.setEndDate(new Time(Date.from(until)));
      generator.setSubject(new X500Name("CN=" + subject));
      generator.setSubjectPublicKeyInfo(
          SubjectPublicKeyInfo.getInstance(own.getPublic().getEncoded()));
      generator.setExtensions(
          new Extensions(
              new Extension[] {
                Extension.create(Extension.basicConstraints, true, new BasicConstraints(authority)),
                Extension.create(
                    Extension.subjectAlternativeName,
                    false,
                    new GeneralNames(
                        new GeneralName[] {
                          new GeneralName(GeneralName.dNSName, "localhost"),
                          new GeneralName(GeneralName.iPAddress, "127.0.0.1")
                        }))
              }));
      TBSCertificate unsigned = generator.generateTBSCertificate();
      Signature signature = Signature.getInstance("SHA256withECDSA");
      signature.initSign(keys.getPrivate());
      signature.update(unsigned.getEncoded());
      ASN1EncodableVector whole = new ASN1EncodableVector();
      whole.add(unsigned);
      whole.add(ECDSA_SHA256);
      whole.add(new DERBitString(signature.sign()));
      return (X509Certificate)
          CertificateFactory.getInstance("X.509")
              .generateCertificate(new ByteArrayInputStream(new DERSequence(whole).getEncoded()));
    } catch (GeneralSecurityException | IOException e) {
      throw new AssertionError(e);
    }
  }

  /** A directory as servers want it: this authority's certificate, and a server's. */
  public void writeServer(Path directory, Identity server) {
    try {
      Files.createDirectories(directory);
      Files.writeString(directory.resolve("ca-cert.pem"), pem(certificate));
      Files.writeString(directory.resolve("server-cert.pem"), pem(server.certificate()));
      Files.writeString(directory.resolve("server-key.pem"), pem(server.key()));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** A server's keys that no client is asked a certificate for. */
  public static TlsKeys serverKeys(Path directory) {
    TestAuthority authority = new TestAuthority("authority");
    authority.writeServer(directory, authority.issue("server"));
    return TlsKeys.load(directory, null, ClientCertificates.IGNORED);
  }

  public static String pem(X509Certificate certificate) {
    try {
      return pem("CERTIFICATE", certificate.getEncoded());
    } catch (GeneralSecurityException e) {
      throw new AssertionError(e);
    }
  }

  public static String pem(PrivateKey key) {
    return pem("PRIVATE KEY", key.getEncoded());
  }

  public static String pem(String type, byte[] der) {
    return "-----BEGIN "
        + type
        + "-----\n"
        + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der)
        + "\n-----END "
        + type
        + "-----\n";
  }
}
