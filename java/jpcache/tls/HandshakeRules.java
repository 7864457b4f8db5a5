package jpcache.tls;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Vector;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.tls.AbstractTlsServer;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.AlertLevel;
import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.Certificate;
import org.bouncycastle.tls.CertificateRequest;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.DefaultTlsCredentialedSigner;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.PskIdentity;
import org.bouncycastle.tls.SignatureAndHashAlgorithm;
import org.bouncycastle.tls.SignatureScheme;
import org.bouncycastle.tls.TlsCredentials;
import org.bouncycastle.tls.TlsFatalAlert;
import org.bouncycastle.tls.TlsPSKExternal;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.TlsCertificate;
import org.bouncycastle.tls.crypto.TlsCryptoParameters;
import org.jspecify.annotations.Nullable;

/**
 * What the server's side of one handshake decides: TLS 1.3 and nothing older; a client that names a
 * pre-shared key we know goes by that, any other one by certificates.
 *
 * <p>It also remembers, in words for the log, why a handshake failed.
 */
@SuppressWarnings({
  "rawtypes", // Bouncy Castle's signatures: its types predate generics
  "JdkObsolete" // and the Collections framework
})
final class HandshakeRules extends AbstractTlsServer {
  /** Clients of an older GnuTLS or OpenSSL bind a pre-shared key to SHA-256. */
  private static final int[] SHA256_SUITES = {
    CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_CHACHA20_POLY1305_SHA256
  };

  private static final int[] SUITES = {
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256
  };

  private static final int MAX_CHAIN = 10;

  private final TlsKeys keys;
  private String peer = "a client without a certificate";
  private @Nullable String unknownUser;
  private @Nullable String failure;
  private boolean established;

  HandshakeRules(TlsKeys keys) {
    super(keys.crypto());
    this.keys = keys;
  }

  boolean established() {
    return established;
  }

  /** Who is at the other end. */
  String peer() {
    return peer;
  }

  /** Why the session failed, as far as it was found here; null if it did not. */
  @Nullable String failure() {
    return failure;
  }

  // ---- What is spoken ----------------------------------------------------------------------

  @Override
  protected ProtocolVersion[] getSupportedVersions() {
    return ProtocolVersion.TLSv13.only();
  }

  @Override
  protected int[] getSupportedCipherSuites() {
    return SUITES.clone();
  }

  @Override
  protected boolean preferLocalCipherSuites() {
    return true;
  }

  /** A client that vanishes has not been attacked: NBD has an end of its own. */
  @Override
  public boolean requiresCloseNotify() {
    return false;
  }

  @Override
  public int getMaxCertificateChainLength() {
    return MAX_CHAIN;
  }

  // ---- Pre-shared keys ---------------------------------------------------------------------

  @Override
  public @Nullable TlsPSKExternal getExternalPSK(Vector identities) {
    PskFile psk = keys.psk();
    if (psk == null) {
      return null;
    }
    for (Object offered : identities) {
      byte[] name = ((PskIdentity) offered).getIdentity();
      byte[] key = psk.find(name);
      if (key != null) {
        peer = "user " + shown(name);
        cipherSuites = SHA256_SUITES.clone();
        return new BasicTlsPSKExternal(name, getCrypto().createSecret(key.clone()));
      }
      unknownUser = shown(name);
    }
    return null;
  }

  private static String shown(byte[] name) {
    return LogText.name(new String(name, StandardCharsets.UTF_8));
  }

  // ---- Certificates ------------------------------------------------------------------------

  @Override
  public TlsCredentials getCredentials() throws IOException {
    TlsKeys.Own own = keys.own();
    PskFile psk = keys.psk();
    if (own == null) {
      String where = psk == null ? "" : " in " + psk.file();
      throw unknownUser == null
          ? refuse(AlertDescription.handshake_failure, "the client named no pre-shared key")
          : refuse(
              AlertDescription.unknown_psk_identity,
              "there is no key of user " + unknownUser + where);
    }
    SignatureAndHashAlgorithm algorithm = algorithm(own);
    return new DefaultTlsCredentialedSigner(
        new TlsCryptoParameters(context),
        keys.crypto().signer(own.key(), SignatureScheme.from(algorithm)),
        new Certificate(TlsUtils.EMPTY_BYTES, keys.chainEntries()),
        algorithm);
  }

  private SignatureAndHashAlgorithm algorithm(TlsKeys.Own own) throws TlsFatalAlert {
    for (Object offered : context.getSecurityParametersHandshake().getClientSigAlgs()) {
      SignatureAndHashAlgorithm algorithm = (SignatureAndHashAlgorithm) offered;
      if (own.schemes().contains(SignatureScheme.from(algorithm))) {
        return algorithm;
      }
    }
    throw refuse(
        AlertDescription.handshake_failure,
        "the client cannot check a signature by the server's kind of key");
  }

  @Override
  public @Nullable CertificateRequest getCertificateRequest() throws IOException {
    ClientTrust clients = keys.clients();
    if (clients == null) {
      return null;
    }
    Vector<X500Name> authorities = new Vector<>();
    clients.names().forEach(name -> authorities.add(X500Name.getInstance(name.getEncoded())));
    return new CertificateRequest(
        TlsUtils.EMPTY_BYTES,
        TlsUtils.getDefaultSupportedSignatureAlgorithms(context),
        null,
        authorities);
  }

  @Override
  public void notifyClientCertificate(Certificate certificate) throws IOException {
    ClientTrust clients = keys.clients();
    if (clients == null) {
      throw refuse(AlertDescription.unexpected_message, "a certificate that nobody asked for");
    }
    if (certificate.isEmpty()) {
      if (keys.clientsRequired()) {
        throw refuse(AlertDescription.certificate_required, "the client has no certificate");
      }
      return;
    }
    List<X509Certificate> chain = new ArrayList<>();
    try {
      CertificateFactory factory = CertificateFactory.getInstance("X.509");
      for (TlsCertificate link : certificate.getCertificateList()) {
        chain.add(
            (X509Certificate)
                factory.generateCertificate(new ByteArrayInputStream(link.getEncoded())));
      }
    } catch (CertificateException e) {
      throw refuse(AlertDescription.bad_certificate, "the client's certificate is damaged");
    }
    ClientTrust.Refusal refusal = clients.check(chain);
    if (refusal != null) {
      throw refuse(refusal.alert(), refusal.reason());
    }
    peer = ClientTrust.name(chain.getFirst());
  }

  // ---- The end -----------------------------------------------------------------------------

  @Override
  public void notifyHandshakeComplete() throws IOException {
    super.notifyHandshakeComplete();
    established = true;
  }

  private TlsFatalAlert refuse(short alert, String reason) {
    failure = reason;
    return new TlsFatalAlert(alert, reason);
  }

  @Override
  public void notifyAlertRaised(
      short level, short description, @Nullable String message, @Nullable Throwable cause) {
    if (level == AlertLevel.fatal && failure == null) {
      String name = AlertDescription.getName(description);
      failure =
          description == AlertDescription.decrypt_error && peer.startsWith("user ")
              ? "the key of " + peer + " is another one than the client's"
              : message == null ? name : name + ": " + message;
    }
  }

  @Override
  public void notifyAlertReceived(short level, short description) {
    if (description != AlertDescription.close_notify && failure == null) {
      failure = "the client refused: " + AlertDescription.getName(description);
    }
  }
}
