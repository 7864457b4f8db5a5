package jpcache.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.nbd.InheritedSocket;
import jpcache.nbd.Listening;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.nbd.SocketOwner;
import jpcache.nbd.TlsPolicy;
import jpcache.tls.ClientCertificates;
import jpcache.tls.TlsKeys;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * Where and how a server listens: options of {@code serve}, and keys at the head of its {@code
 * --config} file.
 */
final class ListenOptions {
  private static final class Address extends CheckedValue<NbdUri> {
    @Override
    NbdUri parse(String text) {
      try {
        return NbdUri.parse(text);
      } catch (UserException e) {
        throw text.indexOf(' ') < 0
            ? e
            : new UserException(e.getMessage() + "; a space is written as %20", e);
      }
    }
  }

  /** Permissions, in octal. */
  private static final class SocketMode extends CheckedValue<Integer> {
    @Override
    Integer parse(String text) {
      if (!text.matches("0?[0-7]{1,3}")) {
        throw new UserException(text + ": not 0 to 777; write octal digits, such as 660");
      }
      return Integer.parseInt(text, 8);
    }
  }

  private static final class Owner extends CheckedValue<SocketOwner> {
    @Override
    SocketOwner parse(String text) {
      return SocketOwner.parse(text);
    }
  }

  private static final class Policy extends OneWord<TlsPolicy> {
    Policy() {
      super(TlsPolicy.class);
    }
  }

  private static final class Certificates extends OneWord<ClientCertificates> {
    Certificates() {
      super(ClientCertificates.class);
    }
  }

  private static final class Connections extends WholeNumber {
    Connections() {
      super(1, Integer.MAX_VALUE);
    }
  }

  private static final class ReplyMemory extends CheckedValue<Long> {
    @Override
    Long parse(String text) {
      long bytes = Sizes.parse(text);
      if (bytes < NbdServerOptions.MIN_REPLY_BYTES || bytes > Integer.MAX_VALUE) {
        throw new UserException(text + ": not 1 MiB or more, and less than 2 GiB");
      }
      return bytes;
    }
  }

  @Option(
      names = "--listen",
      paramLabel = "URI",
      converter = Address.class,
      description =
          "nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH, or the same with nbds where"
              + " clients must use TLS; may be given several times. A NAME is one more name of the"
              + " export, on every address. Default:"
              + " nbd://127.0.0.1:10809/, or the sockets that systemd passes.")
  List<NbdUri> listen = List.of();

  @Option(
      names = "--insecure",
      description = "Allow other machines to connect without TLS, and to read the metrics.")
  private boolean insecure;

  @Option(
      names = "--socket-mode",
      paramLabel = "MODE",
      converter = SocketMode.class,
      defaultValue = "600",
      description = "The permissions of unix sockets, in octal; by default 600.")
  private int socketMode;

  @Option(
      names = "--socket-owner",
      paramLabel = "USER:GROUP",
      converter = Owner.class,
      description = "Whose unix sockets are: USER, USER:GROUP or :GROUP.")
  private @Nullable SocketOwner socketOwner;

  @Option(
      names = "--tls",
      paramLabel = "off|on|required",
      converter = Policy.class,
      description =
          "Whether clients may (on) or must (required) use TLS on addresses of nbd:// and on"
              + " sockets that systemd passes; by default required if there are certificates or"
              + " pre-shared keys.")
  private @Nullable TlsPolicy tls;

  @Option(
      names = "--tls-certificates",
      paramLabel = "DIR",
      description =
          "Where server-cert.pem and server-key.pem are, and ca-cert.pem for clients' certificates"
              + " (and ca-crl.pem, if some were revoked).")
  private @Nullable Path tlsCertificates;

  @Option(
      names = "--tls-psk",
      paramLabel = "FILE",
      description = "Pre-shared keys: lines of NAME:HEXKEY.")
  private @Nullable Path tlsPsk;

  @Option(
      names = "--tls-clients",
      paramLabel = "ignored|optional|required",
      converter = Certificates.class,
      defaultValue = "ignored",
      description =
          "Whether clients without a pre-shared key may (optional) or must (required) have a"
              + " certificate that ca-cert.pem signed; by default they are not asked for one.")
  private ClientCertificates tlsClients;

  @Option(
      names = "--max-connections",
      paramLabel = "N",
      converter = Connections.class,
      defaultValue = "1024",
      description = "Connections beyond this are closed at once; by default 1024.")
  private int maxConnections;

  @Option(
      names = "--reply-memory",
      paramLabel = "SIZE",
      converter = ReplyMemory.class,
      defaultValue = "64M",
      description =
          "Memory that replies may take which one connection's client has not read; by default"
              + " 64M.")
  private long replyMemory;

  /** Where clients find the server; the sockets that systemd passes are not among them. */
  List<NbdUri> addresses() {
    return listen.isEmpty() && inherited().isEmpty() ? List.of(NbdUri.defaultListen()) : listen;
  }

  /**
   * All of it.
   *
   * @throws UserException if something does not fit, or keys cannot be read
   */
  NbdServerOptions server(List<NbdUri> addresses) {
    return NbdServerOptions.defaults()
        .withListening(listening(addresses))
        .withMaxConnections(maxConnections)
        .withReplyBytes((int) replyMemory);
  }

  private Listening listening(List<NbdUri> addresses) {
    if (tlsClients != ClientCertificates.IGNORED && tlsCertificates == null) {
      throw new WrongUsage(
          "--tls-clients "
              + tlsClients.name().toLowerCase(Locale.ROOT)
              + ": clients' certificates are checked by what --tls-certificates DIR holds: give"
              + " that");
    }
    boolean haveKeys = tlsCertificates != null || tlsPsk != null;
    TlsKeys keys = haveKeys ? TlsKeys.load(tlsCertificates, tlsPsk, tlsClients) : null;
    TlsPolicy policy = tls != null ? tls : haveKeys ? TlsPolicy.REQUIRED : TlsPolicy.OFF;
    if (keys == null && policy != TlsPolicy.OFF) {
      throw new WrongUsage("TLS needs keys: give --tls-certificates DIR or --tls-psk FILE");
    }
    return Listening.on(addresses.toArray(new NbdUri[0]))
        .withTls(policy, keys)
        .withInherited(inherited())
        .withInsecure(insecure)
        .withSocketMode(socketMode)
        .withSocketOwner(socketOwner);
  }

  /** Whether a service manager has passed sockets. */
  static boolean activated() {
    return !inherited().isEmpty();
  }

  private static List<InheritedSocket> inherited() {
    return InheritedSocket.of(System.getenv(), ProcessHandle.current().pid());
  }
}
