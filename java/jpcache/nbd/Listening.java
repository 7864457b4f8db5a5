package jpcache.nbd;

import java.util.List;
import jpcache.base.UserException;
import jpcache.tls.TlsKeys;
import org.jspecify.annotations.Nullable;

/**
 * Where and how a server listens; {@link #on} and then {@code with...}.
 *
 * @param addresses the export names in these are not used; one of nbds:// requires TLS whatever
 *     {@code tls} says
 * @param inherited sockets that somebody else opened for this process
 * @param insecure whether other machines may connect without TLS
 * @param socketMode permissions of unix sockets
 * @param socketOwner whose unix sockets are; null: the process's
 * @param tls what holds for addresses of nbd://, and for inherited sockets
 * @param keys what TLS needs; null if there is none
 */
public record Listening(
    List<NbdUri> addresses,
    List<InheritedSocket> inherited,
    boolean insecure,
    int socketMode,
    @Nullable SocketOwner socketOwner,
    TlsPolicy tls,
    @Nullable TlsKeys keys) {
  /** Only for the owner. */
  public static final int DEFAULT_SOCKET_MODE = 0600;

  private static final int MODE_MASK = 0777;

  /**
   * Checks what belongs together.
   *
   * @throws UserException if a mode is none
   */
  public Listening {
    addresses = List.copyOf(addresses);
    inherited = List.copyOf(inherited);
    if ((socketMode & ~MODE_MASK) != 0) {
      throw new UserException(
          "mode " + Integer.toOctalString(socketMode) + " of a unix socket: not 0 to 777");
    }
  }

  /** These addresses, without TLS, for this machine and this user alone. */
  public static Listening on(NbdUri... addresses) {
    return new Listening(
        List.of(addresses), List.of(), false, DEFAULT_SOCKET_MODE, null, TlsPolicy.OFF, null);
  }

  public Listening withInherited(List<InheritedSocket> sockets) {
    return new Listening(addresses, sockets, insecure, socketMode, socketOwner, tls, keys);
  }

  public Listening withInsecure(boolean allowed) {
    return new Listening(addresses, inherited, allowed, socketMode, socketOwner, tls, keys);
  }

  public Listening withSocketMode(int mode) {
    return new Listening(addresses, inherited, insecure, mode, socketOwner, tls, keys);
  }

  public Listening withSocketOwner(@Nullable SocketOwner owner) {
    return new Listening(addresses, inherited, insecure, socketMode, owner, tls, keys);
  }

  public Listening withTls(TlsPolicy policy, @Nullable TlsKeys itsKeys) {
    return new Listening(addresses, inherited, insecure, socketMode, socketOwner, policy, itsKeys);
  }

  /**
   * What clients of this address have to do.
   *
   * @throws UserException if that is TLS, and there are no keys
   */
  Tls tlsOf(NbdUri address) {
    TlsPolicy policy = address.tls() ? TlsPolicy.REQUIRED : tls;
    if (policy == TlsPolicy.OFF) {
      return Tls.NONE;
    }
    if (keys == null) {
      throw new UserException(
          "cannot listen on " + address + ": TLS needs certificates or pre-shared keys");
    }
    return new ServerTls(policy, keys);
  }
}
