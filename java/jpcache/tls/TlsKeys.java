package jpcache.tls;

import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.util.List;
import java.util.Objects;
import jpcache.base.UserException;
import org.bouncycastle.tls.CertificateEntry;
import org.bouncycastle.tls.SignatureScheme;
import org.bouncycastle.tls.crypto.TlsCryptoException;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCertificate;
import org.jspecify.annotations.Nullable;

/**
 * What a server proves itself with, and knows its clients by: X.509 certificates, pre-shared keys,
 * or both. Immutable; all sessions of a server share it.
 *
 * <p>The directory of certificates is nbdkit's: {@code server-cert.pem} (the server's own, then
 * those between it and the authority's), {@code server-key.pem}, {@code ca-cert.pem} for clients'
 * certificates, and {@code ca-crl.pem} if some of those were revoked.
 */
public final class TlsKeys {
  /** What the server's certificate is signed for: the key's kind decides. */
  record Own(List<X509Certificate> chain, PrivateKey key, List<Integer> schemes) {}

  private final JdkCrypto crypto = new JdkCrypto();
  private final @Nullable Own own;
  private final @Nullable ClientTrust clients;
  private final @Nullable PskFile psk;
  private final boolean clientsRequired;

  private TlsKeys(
      @Nullable Own own,
      @Nullable ClientTrust clients,
      @Nullable PskFile psk,
      boolean clientsRequired) {
    this.own = own;
    this.clients = clients;
    this.psk = psk;
    this.clientsRequired = clientsRequired;
  }

  /**
   * Reads and checks everything.
   *
   * @param certificates the directory; null for pre-shared keys alone
   * @param psk the file of pre-shared keys; null if there are none
   * @throws UserException if something is missing, wrong, expired or does not belong together
   */
  public static TlsKeys load(
      @Nullable Path certificates, @Nullable Path psk, ClientCertificates clients) {
    if (certificates == null && psk == null) {
      throw new UserException("TLS needs a directory of certificates or a file of pre-shared keys");
    }
    if (certificates == null && clients != ClientCertificates.IGNORED) {
      throw new UserException("TLS: clients' certificates need a directory of certificates");
    }
    TlsKeys keys =
        new TlsKeys(
            certificates == null ? null : own(certificates),
            certificates == null || clients == ClientCertificates.IGNORED
                ? null
                : new ClientTrust(certificates),
            psk == null ? null : new PskFile(psk),
            clients == ClientCertificates.REQUIRED);
    // Of keys that are used alone: what cannot be read is one line, and may be no keys at all.
    if (certificates != null) {
      PemFiles.warnIfPublic(keyFile(certificates));
    }
    if (psk != null) {
      PemFiles.warnIfPublic(psk);
    }
    return keys;
  }

  private static Path keyFile(Path directory) {
    return directory.resolve("server-key.pem");
  }

  private static Own own(Path directory) {
    Path certFile = directory.resolve("server-cert.pem");
    Path keyFile = keyFile(directory);
    List<X509Certificate> chain = PemFiles.certificates(certFile);
    PrivateKey key = PemFiles.privateKey(keyFile);
    X509Certificate leaf = chain.getFirst();
    try {
      leaf.checkValidity();
    } catch (CertificateExpiredException e) {
      throw wrong(certFile, "expired on " + leaf.getNotAfter().toInstant() + ": renew it");
    } catch (CertificateNotYetValidException e) {
      throw wrong(certFile, "valid only from " + leaf.getNotBefore().toInstant() + " on");
    }
    Own own = new Own(chain, key, schemes(certFile, leaf));
    if (!belongTogether(leaf, key)) {
      throw wrong(keyFile, "not the key of " + certFile);
    }
    return own;
  }

  private static List<Integer> schemes(Path file, X509Certificate leaf) {
    return switch (leaf.getPublicKey().getAlgorithm()) {
      case "RSA" ->
          List.of(
              SignatureScheme.rsa_pss_rsae_sha256,
              SignatureScheme.rsa_pss_rsae_sha384,
              SignatureScheme.rsa_pss_rsae_sha512);
      case "EC" ->
          switch (((ECPublicKey) leaf.getPublicKey()).getParams().getOrder().bitLength()) {
            case 256 -> List.of(SignatureScheme.ecdsa_secp256r1_sha256);
            case 384 -> List.of(SignatureScheme.ecdsa_secp384r1_sha384);
            case 521 -> List.of(SignatureScheme.ecdsa_secp521r1_sha512);
            default -> throw wrong(file, "its curve is not one of TLS 1.3");
          };
      case "EdDSA" -> List.of(SignatureScheme.ed25519);
      default -> throw wrong(file, "its key is neither RSA, EC nor Ed25519");
    };
  }

  private static boolean belongTogether(X509Certificate certificate, PrivateKey key) {
    String algorithm =
        switch (key.getAlgorithm()) {
          case "RSA" -> "SHA256withRSA";
          case "EC" -> "SHA256withECDSA";
          default -> "Ed25519";
        };
    byte[] probe = {1, 2, 3};
    try {
      Signature signature = Signature.getInstance(algorithm);
      signature.initSign(key);
      signature.update(probe);
      byte[] signed = signature.sign();
      signature.initVerify(certificate.getPublicKey());
      signature.update(probe);
      return signature.verify(signed);
    } catch (GeneralSecurityException e) {
      return false; // another kind of key
    }
  }

  static UserException wrong(Path file, String what) {
    return new UserException(PemFiles.message(file, what));
  }

  JdkCrypto crypto() {
    return crypto;
  }

  /** The server's certificate and key; null if it has none. */
  @Nullable Own own() {
    return own;
  }

  /** The server's chain as a Certificate message carries it. */
  CertificateEntry[] chainEntries() throws TlsCryptoException {
    List<X509Certificate> chain = Objects.requireNonNull(own).chain();
    CertificateEntry[] entries = new CertificateEntry[chain.size()];
    for (int i = 0; i < entries.length; i++) {
      entries[i] = new CertificateEntry(new JcaTlsCertificate(crypto, chain.get(i)), null);
    }
    return entries;
  }

  /** What clients' certificates are checked by; null if none is asked for. */
  @Nullable ClientTrust clients() {
    return clients;
  }

  boolean clientsRequired() {
    return clientsRequired;
  }

  @Nullable PskFile psk() {
    return psk;
  }
}
