package jpcache.tls;

import java.io.IOException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.AlgorithmParameterSpec;
import org.bouncycastle.jcajce.util.DefaultJcaJceHelper;
import org.bouncycastle.tls.SignatureScheme;
import org.bouncycastle.tls.crypto.Tls13Verifier;
import org.bouncycastle.tls.crypto.TlsSigner;
import org.bouncycastle.tls.crypto.TlsStreamSigner;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCrypto;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsECDSA13Signer;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsEd25519Signer;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsRSAPSSSigner;

/**
 * The primitives that the protocol needs, from the JDK's own providers: their AES-GCM uses the
 * processor's instructions.
 */
final class JdkCrypto extends JcaTlsCrypto {
  private static final String BOUNCY_PSS = "WITHRSAANDMGF1";

  JdkCrypto() {
    super(new DefaultJcaJceHelper(), new SecureRandom(), new SecureRandom());
  }

  /** Signs the handshake with a key that is good for the scheme. */
  TlsSigner signer(PrivateKey key, int scheme) {
    if (SignatureScheme.isRSAPSS(scheme)) {
      return new JcaTlsRSAPSSSigner(this, key, scheme);
    }
    return SignatureScheme.isECDSA(scheme)
        ? new JcaTlsECDSA13Signer(this, key, scheme)
        : new JcaTlsEd25519Signer(this, key);
  }

  @Override
  protected TlsStreamSigner createStreamSigner(
      String algorithm, AlgorithmParameterSpec parameter, PrivateKey key, boolean needsRandom)
      throws IOException {
    return super.createStreamSigner(jdkName(algorithm), parameter, key, needsRandom);
  }

  @Override
  protected Tls13Verifier createTls13Verifier(
      String algorithm, AlgorithmParameterSpec parameter, PublicKey key) throws IOException {
    return super.createTls13Verifier(jdkName(algorithm), parameter, key);
  }

  /** The JDK has one name for RSA-PSS; which digest, stands in the parameters. */
  private static String jdkName(String algorithm) {
    return algorithm.endsWith(BOUNCY_PSS) ? "RSASSA-PSS" : algorithm;
  }
}
