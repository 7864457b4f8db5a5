package jpcache.tls;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
import java.security.cert.CertStore;
import java.security.cert.CertificateException;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXReason;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.tls.AlertDescription;
import org.jspecify.annotations.Nullable;

/** Checks clients' certificates against the authorities of {@code ca-cert.pem}, as the JDK does. */
final class ClientTrust {
  /** A certificate that is refused: for the log, and for the client. */
  record Refusal(String reason, short alert) {}

  private final List<X509Certificate> authorities;
  private final X509TrustManager trust;

  /**
   * Reads the authorities and what they revoked.
   *
   * @throws jpcache.base.UserException if they cannot be read
   */
  ClientTrust(Path directory) {
    Path file = directory.resolve("ca-cert.pem");
    Path revoked = directory.resolve("ca-crl.pem");
    authorities = PemFiles.certificates(file);
    Set<TrustAnchor> anchors =
        authorities.stream().map(ca -> new TrustAnchor(ca, null)).collect(Collectors.toSet());
    try {
      PKIXBuilderParameters rules = new PKIXBuilderParameters(anchors, new X509CertSelector());
      boolean revocation = Files.exists(revoked);
      rules.setRevocationEnabled(revocation);
      if (revocation) {
        rules.addCertStore(
            CertStore.getInstance(
                "Collection", new CollectionCertStoreParameters(PemFiles.revocations(revoked))));
      }
      TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
      factory.init(new CertPathTrustManagerParameters(rules));
      trust = (X509TrustManager) factory.getTrustManagers()[0];
    } catch (GeneralSecurityException e) {
      throw TlsKeys.wrong(file, "cannot be used: " + e.getMessage());
    }
  }

  /** Told to clients, which choose their certificate by it. */
  List<X500Principal> names() {
    return authorities.stream().map(X509Certificate::getSubjectX500Principal).toList();
  }

  /** Null if the client is one of ours. */
  @Nullable Refusal check(List<X509Certificate> chain) {
    X509Certificate leaf = chain.getFirst();
    try {
      trust.checkClientTrusted(
          chain.toArray(new X509Certificate[0]), leaf.getPublicKey().getAlgorithm());
      return null;
    } catch (CertificateException e) {
      return explain(chain, e);
    }
  }

  private static Refusal explain(List<X509Certificate> chain, CertificateException failure) {
    String who = "the certificate of " + name(chain.getFirst());
    Instant now = Instant.now();
    String whose = who;
    for (X509Certificate certificate : chain) {
      if (certificate.getNotAfter().toInstant().isBefore(now)) {
        return new Refusal(
            whose + " expired on " + certificate.getNotAfter().toInstant(),
            AlertDescription.certificate_expired);
      }
      if (certificate.getNotBefore().toInstant().isAfter(now)) {
        return new Refusal(
            whose + " is valid only from " + certificate.getNotBefore().toInstant() + " on",
            AlertDescription.bad_certificate);
      }
      whose = who + ": its authority's";
    }
    for (Throwable e = failure; e != null; e = e.getCause()) {
      if (e instanceof CertPathValidatorException path && path.getReason() == BasicReason.REVOKED) {
        return new Refusal(who + " was revoked", AlertDescription.certificate_revoked);
      }
    }
    for (Throwable e = failure; e != null; e = e.getCause()) {
      boolean foreign =
          e instanceof CertPathValidatorException path
              && (path.getReason() == BasicReason.INVALID_SIGNATURE
                  || path.getReason() == PKIXReason.NO_TRUST_ANCHOR);
      if (foreign || e instanceof CertPathBuilderException) {
        return new Refusal(
            who + " was not signed by an authority in ca-cert.pem", AlertDescription.unknown_ca);
      }
    }
    return new Refusal(who + ": " + failure.getMessage(), AlertDescription.bad_certificate);
  }

  /** The subject, as the log may show it: also somebody else's authority may have signed it. */
  static String name(X509Certificate certificate) {
    return LogText.name(certificate.getSubjectX500Principal().getName());
  }
}
