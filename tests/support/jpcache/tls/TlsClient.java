package jpcache.tls;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import java.util.List;
import java.util.Vector;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;
import org.bouncycastle.tls.AbstractTlsClient;
import org.bouncycastle.tls.AlertDescription;
import org.bouncycastle.tls.BasicTlsPSKExternal;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.ContentType;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.TlsAuthentication;
import org.bouncycastle.tls.TlsClientProtocol;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCrypto;
import org.bouncycastle.tls.crypto.impl.jcajce.JcaTlsCryptoProvider;
import org.jspecify.annotations.Nullable;

/** A client's side of a TLS session, as a machine over bytes like the server's. */
public interface TlsClient {
  /** Takes what the server sent. */
  void offer(byte[] bytes) throws IOException;

  /** What is to be sent to the server. */
  byte[] take() throws IOException;

  /** Encrypts; only once {@link #established}. With a pre-shared key, nothing is a record, too. */
  void write(byte[] plaintext) throws IOException;

  /** Plaintext that has arrived since the last call. */
  byte[] read();

  boolean established();

  /** Says that nothing more will be written; what comes can still be read. */
  void close() throws IOException;

  /** A client with certificates: the JDK's own TLS. */
  static TlsClient x509(
      X509Certificate authority, TestAuthority.@Nullable Identity own, String... protocols) {
    return new Jdk(authority, own, protocols.length == 0 ? new String[] {"TLSv1.3"} : protocols);
  }

  /** A client whose pre-shared key {@link TestAuthority#serverKeys} know. */
  static TlsClient alice() {
    return psk("alice", alicesKey());
  }

  /** That key. */
  static byte[] alicesKey() {
    return HexFormat.of().parseHex("00112233445566778899aabbccddeeff");
  }

  /** A client with a pre-shared key. */
  static TlsClient psk(String user, byte[] key) {
    return new Psk(user, key);
  }

  /** Over javax.net.ssl. */
  final class Jdk implements TlsClient {
    private static final char[] NO_PASSWORD = new char[0];

    private final SSLEngine engine;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream plain = new ByteArrayOutputStream();
    private ByteBuffer in = ByteBuffer.allocate(0);
    private boolean established;

    private Jdk(
        X509Certificate authority, TestAuthority.@Nullable Identity own, String[] protocols) {
      try {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", authority);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        KeyStore mine = KeyStore.getInstance("PKCS12");
        mine.load(null, null);
        if (own != null) {
          mine.setKeyEntry(
              "own", own.key(), NO_PASSWORD, new X509Certificate[] {own.certificate()});
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(mine, NO_PASSWORD);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), new SecureRandom());
        engine = context.createSSLEngine();
        engine.setUseClientMode(true);
        engine.setEnabledProtocols(protocols);
        engine.beginHandshake();
      } catch (GeneralSecurityException | IOException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public void offer(byte[] bytes) throws IOException {
      ByteBuffer more = ByteBuffer.allocate(in.remaining() + bytes.length);
      in = more.put(in).put(bytes).flip();
      turn();
    }

    @Override
    public byte[] take() throws IOException {
      turn();
      byte[] taken = out.toByteArray();
      out.reset();
      return taken;
    }

    @Override
    public void write(byte[] plaintext) throws IOException {
      ByteBuffer from = ByteBuffer.wrap(plaintext);
      while (from.hasRemaining()) {
        wrap(from);
      }
    }

    @Override
    public byte[] read() {
      byte[] taken = plain.toByteArray();
      plain.reset();
      return taken;
    }

    @Override
    public boolean established() {
      return established;
    }

    @Override
    public void close() {
      engine.closeOutbound();
    }

    private SSLEngineResult wrap(ByteBuffer from) throws SSLException {
      ByteBuffer to = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
      SSLEngineResult result = engine.wrap(from, to);
      out.write(to.array(), 0, to.position());
      note(result);
      return result;
    }

    private void note(SSLEngineResult result) {
      established |= result.getHandshakeStatus() == HandshakeStatus.FINISHED;
    }

    private void turn() throws SSLException {
      while (true) {
        switch (engine.getHandshakeStatus()) {
          case NEED_TASK -> engine.getDelegatedTask().run();
          case NEED_WRAP -> {
            if (wrap(ByteBuffer.allocate(0)).getStatus() == SSLEngineResult.Status.CLOSED) {
              return;
            }
          }
          default -> {
            if (!in.hasRemaining()) {
              return;
            }
            ByteBuffer to = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize());
            SSLEngineResult result = engine.unwrap(in, to);
            plain.write(to.array(), 0, to.position());
            note(result);
            if (result.getStatus() != SSLEngineResult.Status.OK) {
              return;
            }
          }
        }
      }
    }
  }

  /** Over Bouncy Castle, since the JDK knows no such keys. */
  final class Psk implements TlsClient {
    private static final class Protocol extends TlsClientProtocol {
      void writeNothing() throws IOException {
        safeWriteRecord(ContentType.application_data, new byte[0], 0, 0);
      }

      /** Its own close would also take no more. */
      void closeOutput() throws IOException {
        raiseAlertWarning(AlertDescription.close_notify, "the end");
      }
    }

    private final Protocol protocol = new Protocol();
    private boolean established;

    private Psk(String user, byte[] key) {
      JcaTlsCrypto crypto = new JcaTlsCryptoProvider().create(new SecureRandom());
      try {
        protocol.connect(
            new AbstractTlsClient(crypto) {
              @Override
              protected ProtocolVersion[] getSupportedVersions() {
                return ProtocolVersion.TLSv13.only();
              }

              @Override
              protected int[] getSupportedCipherSuites() {
                return new int[] {
                  CipherSuite.TLS_AES_256_GCM_SHA384, CipherSuite.TLS_AES_128_GCM_SHA256
                };
              }

              @Override
              @SuppressWarnings({"rawtypes", "JdkObsolete"}) // Bouncy Castle's signature
              public Vector getExternalPSKs() {
                return new Vector<>(
                    List.of(
                        new BasicTlsPSKExternal(
                            user.getBytes(StandardCharsets.UTF_8),
                            crypto.createSecret(key.clone()))));
              }

              @Override
              public TlsAuthentication getAuthentication() {
                throw new AssertionError("the server came with a certificate");
              }

              @Override
              public void notifyHandshakeComplete() throws IOException {
                super.notifyHandshakeComplete();
                established = true;
              }
            });
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public void offer(byte[] bytes) throws IOException {
      protocol.offerInput(bytes);
    }

    @Override
    public byte[] take() {
      byte[] bytes = new byte[protocol.getAvailableOutputBytes()];
      protocol.readOutput(bytes, 0, bytes.length);
      return bytes;
    }

    @Override
    public void write(byte[] plaintext) throws IOException {
      if (plaintext.length == 0) {
        protocol.writeNothing();
      }
      protocol.writeApplicationData(plaintext, 0, plaintext.length);
    }

    @Override
    public byte[] read() {
      byte[] bytes = new byte[protocol.getAvailableInputBytes()];
      protocol.readInput(bytes, 0, bytes.length);
      return bytes;
    }

    @Override
    public boolean established() {
      return established;
    }

    @Override
    public void close() throws IOException {
      protocol.closeOutput();
    }
  }
}
