package jpcache.cli;

import java.nio.file.Path;
import java.util.List;
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
  @Option(
      names = "--listen",
      paramLabel = "URI",
      description =
          "nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH, or the same with nbds where"
              + " clients must use TLS; may be given several times. Default:"
              + " nbd://127.0.0.1:10809/, or the sockets that systemd passes.")
  List<String> listen = List.of();

  @Option(
      names = "--insecure",
      description = "Allow other machines to connect without TLS, and to read the metrics.")
  private boolean insecure;

  @Option(
      names = "--socket-mode",
      paramLabel = "MODE",
      defaultValue = "600",
      description = "The permissions of unix sockets, in octal; by default 600.")
  private String socketMode;

  @Option(
      names = "--socket-owner",
      paramLabel = "USER:GROUP",
      description = "Whose unix sockets are: USER, USER:GROUP or :GROUP.")
  private @Nullable String socketOwner;

  @Option(
      names = "--tls",
      paramLabel = "off|on|required",
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
      defaultValue = "IGNORED",
      description =
          "Whether clients without a pre-shared key may (optional) or must (required) have a"
              + " certificate that ca-cert.pem signed; by default they are not asked for one.")
  private ClientCertificates tlsClients;

  @Option(
      names = "--max-connections",
      paramLabel = "N",
      defaultValue = "1024",
      description = "Connections beyond this are closed at once; by default 1024.")
  private int maxConnections;

  @Option(
      names = "--reply-memory",
      paramLabel = "SIZE",
      converter = SizeConverter.class,
      defaultValue = "64M",
      description =
          "Memory that replies may take which one connection's client has not read; by default"
              + " 64M.")
  private long replyMemory;

  /** Where clients find the server; the sockets that systemd passes are not among them. */
  List<NbdUri> addresses() {
    List<NbdUri> given = listen.stream().map(NbdUri::parse).toList();
    return given.isEmpty() && inherited().isEmpty() ? List.of(NbdUri.defaultListen()) : given;
  }

  /**
   * All of it.
   *
   * @throws jpcache.base.UserException if something does not fit, or keys cannot be read
   */
  NbdServerOptions server(List<NbdUri> addresses) {
    if (replyMemory > Integer.MAX_VALUE) {
      throw new WrongUsage("--reply-memory " + replyMemory + ": must be less than 2 GiB");
    }
    return NbdServerOptions.defaults()
        .withListening(listening(addresses))
        .withMaxConnections(maxConnections)
        .withReplyBytes((int) replyMemory);
  }

  private Listening listening(List<NbdUri> addresses) {
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
        .withSocketMode(mode())
        .withSocketOwner(socketOwner == null ? null : SocketOwner.parse(socketOwner));
  }

  private static List<InheritedSocket> inherited() {
    return InheritedSocket.of(System.getenv(), ProcessHandle.current().pid());
  }

  private int mode() {
    if (!socketMode.matches("[0-7]{1,4}")) {
      throw new WrongUsage("--socket-mode " + socketMode + ": write octal digits, such as 660");
    }
    return Integer.parseInt(socketMode, 8);
  }
}
