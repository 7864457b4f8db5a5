package jpcache.tls;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CRL;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jpcache.base.UserException;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.edec.EdECObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RSAPrivateKey;
import org.bouncycastle.asn1.sec.ECPrivateKey;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;

/** Reads certificates and keys as openssl and certtool write them: PEM, maybe with text around. */
final class PemFiles {
  private static final Logger LOG = System.getLogger(PemFiles.class.getName());

  /** Many times what a chain of certificates needs. */
  static final long MAX_BYTES = 1 << 20;

  private static final Pattern PRIVATE_KEY =
      Pattern.compile(
          "-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----([A-Za-z0-9+/=\\s]*)-----END \\1-----");

  private PemFiles() {}

  /** The certificates of a file in their order; there is at least one. */
  static List<X509Certificate> certificates(Path file) {
    try {
      List<X509Certificate> found =
          CertificateFactory.getInstance("X.509").generateCertificates(in(file)).stream()
              .map(X509Certificate.class::cast)
              .toList();
      if (found.isEmpty()) {
        throw wrong(file, "there is no certificate in it");
      }
      return found;
    } catch (GeneralSecurityException e) {
      throw wrong(file, "not certificates in PEM", e);
    }
  }

  /** The revocation lists of a file. */
  static Collection<? extends CRL> revocations(Path file) {
    try {
      return CertificateFactory.getInstance("X.509").generateCRLs(in(file));
    } catch (GeneralSecurityException e) {
      throw wrong(file, "not revocation lists in PEM", e);
    }
  }

  /** The first private key of a file: PKCS #8, or as RSA and EC keys were written before that. */
  static PrivateKey privateKey(Path file) {
    String text = new String(bytes(file), StandardCharsets.ISO_8859_1);
    if (text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")) {
      throw wrong(file, "the key has a passphrase; the server needs one without");
    }
    Matcher key = PRIVATE_KEY.matcher(text);
    if (!key.find()) {
      throw wrong(file, "there is no private key in PEM in it");
    }
    try {
      byte[] der = Base64.getMimeDecoder().decode(key.group(2));
      PrivateKeyInfo info =
          switch (key.group(1)) {
            case "RSA PRIVATE KEY" ->
                new PrivateKeyInfo(
                    new AlgorithmIdentifier(PKCSObjectIdentifiers.rsaEncryption, DERNull.INSTANCE),
                    RSAPrivateKey.getInstance(der));
            case "EC PRIVATE KEY" -> {
              ECPrivateKey ec = ECPrivateKey.getInstance(der);
              yield new PrivateKeyInfo(
                  new AlgorithmIdentifier(
                      X9ObjectIdentifiers.id_ecPublicKey, ec.getParametersObject()),
                  ec);
            }
            default -> PrivateKeyInfo.getInstance(der);
          };
      return KeyFactory.getInstance(algorithm(file, info))
          .generatePrivate(new PKCS8EncodedKeySpec(info.getEncoded()));
    } catch (GeneralSecurityException | IOException | IllegalArgumentException e) {
      throw wrong(file, "the private key in it is damaged", e);
    }
  }

  private static String algorithm(Path file, PrivateKeyInfo info) {
    ASN1ObjectIdentifier id = info.getPrivateKeyAlgorithm().getAlgorithm();
    if (id.equals(PKCSObjectIdentifiers.rsaEncryption)) {
      return "RSA";
    } else if (id.equals(X9ObjectIdentifiers.id_ecPublicKey)) {
      return "EC";
    } else if (id.equals(EdECObjectIdentifiers.id_Ed25519)) {
      return "Ed25519";
    }
    throw wrong(file, "the private key is neither RSA, EC nor Ed25519");
  }

  private static ByteArrayInputStream in(Path file) {
    return new ByteArrayInputStream(bytes(file));
  }

  static byte[] bytes(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw wrong(file, "larger than " + MAX_BYTES + " bytes");
      }
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw wrong(file, Files.exists(file) ? "cannot be read" : "no such file", e);
    }
  }

  /** Tells of a file that nobody else should read where everybody can. */
  static void warnIfPublic(Path file) {
    try {
      if (Files.getPosixFilePermissions(file).contains(PosixFilePermission.OTHERS_READ)) {
        LOG.log(Level.WARNING, message(file, "every user can read the keys in it: chmod o-rwx"));
      }
    } catch (IOException | UnsupportedOperationException e) {
      LOG.log(Level.DEBUG, "{0}: its permissions cannot be read: {1}", file, e.getMessage());
    }
  }

  private static UserException wrong(Path file, String what) {
    return new UserException(message(file, what));
  }

  private static UserException wrong(Path file, String what, Exception cause) {
    return new UserException(message(file, what), cause);
  }

  static String message(Path file, String what) {
    return "TLS: " + file + ": " + what;
  }
}
