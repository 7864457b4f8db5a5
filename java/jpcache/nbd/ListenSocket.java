package jpcache.nbd;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Objects;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * A socket that clients connect to, on TCP or in the file system, or one that a service manager
 * opened.
 *
 * <p>A unix socket's file is removed on close, if it is still the one that was made. One that a
 * dead server left behind is replaced; one that somebody listens on is not, nor is anything that is
 * not a socket. (Two servers that start on one stale file at the same moment are not kept apart.)
 */
final class ListenSocket implements AutoCloseable {
  private static final int BACKLOG = 1024;
  private static final int FILE_TYPE_MASK = 0170000;
  private static final int FILE_TYPE_SOCKET = 0140000;
  private static final int F_SETFD = 2;
  private static final int F_GETFL = 3;
  private static final int F_SETFL = 4;
  private static final int FD_CLOEXEC = 1;
  private static final int O_NONBLOCK = 04000;

  private final int fd;
  private final NbdUri address;
  private final Tls tls;
  private final @Nullable Object inode;

  private ListenSocket(int fd, NbdUri address, Tls tls, @Nullable Object inode) {
    this.fd = fd;
    this.address = address.withTls(tls.policy() == TlsPolicy.REQUIRED);
    this.tls = tls;
    this.inode = inode;
  }

  /**
   * Listens.
   *
   * @throws UserException if it cannot, or must not: other machines could connect without TLS, and
   *     that was not allowed
   */
  static ListenSocket open(NbdUri uri, Listening how) {
    Tls tls = how.tlsOf(uri);
    try (SocketAddress address = new SocketAddress()) {
      return uri.socketPath() != null
          ? openUnix(uri, uri.socketPath(), how, tls, address)
          : openTcp(uri, how, tls, address);
    }
  }

  int fd() {
    return fd;
  }

  /** Where it listens, with the port that the system chose and the export that was named. */
  NbdUri address() {
    return address;
  }

  /** What its clients have to do. */
  Tls tls() {
    return tls;
  }

  @Override
  public void close() {
    Posix.close(fd);
    if (address.socketPath() != null && inode != null) {
      remove(Path.of(address.socketPath()), inode);
    }
  }

  /** Removes a socket's file, if it is still the one that was made here as far as that is known. */
  private static void remove(Path path, @Nullable Object inode) {
    try {
      if (inode == null || inode.equals(unixAttribute(path, "ino"))) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      // Somebody else removed or replaced it.
    }
  }

  // ---- TCP ---------------------------------------------------------------------------------

  private static ListenSocket openTcp(NbdUri uri, Listening how, Tls tls, SocketAddress address) {
    InetAddress host;
    try {
      host = InetAddress.getByName(uri.host());
    } catch (UnknownHostException e) {
      throw cannot(uri, "the host is not known");
    }
    requireSecure(uri.toString(), host, how, tls);
    boolean v6 = host instanceof Inet6Address;
    int fd = Sockets.socket(v6 ? Sockets.AF_INET6 : Sockets.AF_INET, false);
    if (fd < 0) {
      throw cannot(uri, Errno.text(-fd));
    }
    address.setOption(fd, Sockets.SOL_SOCKET, Sockets.SO_REUSEADDR, 1);
    if (v6) {
      address.setOption(fd, Sockets.IPPROTO_IPV6, Sockets.IPV6_V6ONLY, 1);
    }
    setClientOptions(fd, address);
    address.internet(host, uri.port());
    int error = Sockets.bind(fd, address.address(), address.bytes());
    if (error == 0) {
      error = Sockets.listen(fd, BACKLOG);
    }
    if (error == 0) {
      error = address.read(fd);
    }
    if (error < 0) {
      Posix.close(fd);
      throw cannot(uri, whyNot(error));
    }
    return new ListenSocket(
        fd, NbdUri.tcp(uri.host(), address.port(), uri.exportName()), tls, null);
  }

  /** What is set on a listening socket holds for the connections that it accepts, too. */
  private static void setClientOptions(int fd, SocketAddress scratch) {
    scratch.setOption(fd, Sockets.SOL_SOCKET, Sockets.SO_KEEPALIVE, 1);
    scratch.setOption(fd, Sockets.IPPROTO_TCP, Sockets.TCP_NODELAY, 1);
  }

  private static void requireSecure(String where, InetAddress host, Listening how, Tls tls) {
    if (!host.isLoopbackAddress() && !how.insecure() && tls.policy() != TlsPolicy.REQUIRED) {
      throw new UserException(
          "cannot listen on "
              + where
              + ": other machines reach this address and need not encrypt; require TLS, or allow"
              + " it with --insecure");
    }
  }

  // ---- Unix --------------------------------------------------------------------------------

  private static ListenSocket openUnix(
      NbdUri uri, String path, Listening how, Tls tls, SocketAddress address) {
    Path file = Path.of(path);
    try {
      address.unix(path);
    } catch (UserException e) {
      throw cannot(uri, String.valueOf(e.getMessage()));
    }
    removeStale(uri, file, address);

    int fd = Sockets.socket(Sockets.AF_UNIX, false);
    if (fd < 0) {
      throw cannot(uri, Errno.text(-fd));
    }
    // Before bind, so that there is no moment at which others could connect.
    Sockets.setMode(fd, Listening.DEFAULT_SOCKET_MODE);
    int error = Sockets.bind(fd, address.address(), address.bytes());
    if (error < 0) {
      Posix.close(fd);
      throw cannot(uri, whyNot(error));
    }
    Object inode = null;
    boolean listens = false;
    try {
      inode = unixAttribute(file, "ino");
      give(file, how);
      error = Sockets.listen(fd, BACKLOG);
      if (error < 0) {
        throw cannot(uri, whyNot(error));
      }
      ListenSocket socket = new ListenSocket(fd, NbdUri.unix(path, uri.exportName()), tls, inode);
      listens = true;
      return socket;
    } catch (IOException e) {
      throw cannot(uri, "the socket's owner and mode cannot be set: " + e);
    } finally {
      if (!listens) {
        Posix.close(fd);
        remove(file, inode);
      }
    }
  }

  /** While nobody can connect yet: to its owner first, then with the mode that is for that one. */
  private static void give(Path file, Listening how) throws IOException {
    if (how.socketOwner() != null) {
      how.socketOwner().own(file);
    }
    if (how.socketMode() != Listening.DEFAULT_SOCKET_MODE) {
      StringBuilder permissions = new StringBuilder("rwxrwxrwx");
      for (int i = 0; i < permissions.length(); i++) {
        if ((how.socketMode() & (0400 >> i)) == 0) {
          permissions.setCharAt(i, '-');
        }
      }
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(permissions.toString()));
    }
  }

  private static void removeStale(NbdUri uri, Path path, SocketAddress address) {
    try {
      Object mode = unixAttribute(path, "mode");
      if (((Integer) mode & FILE_TYPE_MASK) != FILE_TYPE_SOCKET) {
        throw cannot(uri, "the path exists and is not a socket");
      }
      int fd = Sockets.socket(Sockets.AF_UNIX, false);
      int result = fd < 0 ? fd : Sockets.connect(fd, address.address(), address.bytes());
      if (fd >= 0) {
        Posix.close(fd);
      }
      if (result != -Errno.ECONNREFUSED) {
        throw cannot(
            uri,
            result == 0 || result == -Errno.EAGAIN
                ? "somebody listens there already"
                : Errno.text(-result));
      }
      Files.deleteIfExists(path);
    } catch (NoSuchFileException e) {
      // As it should be.
    } catch (IOException e) {
      throw cannot(uri, "cannot look at the path: " + e.getMessage());
    }
  }

  private static Object unixAttribute(Path path, String name) throws IOException {
    Map<String, Object> attributes =
        Files.readAttributes(path, "unix:" + name, LinkOption.NOFOLLOW_LINKS);
    return Objects.requireNonNull(attributes.get(name));
  }

  // ---- Inherited ---------------------------------------------------------------------------

  /**
   * Takes over a socket that a service manager opened. Its file, if it has one, stays the
   * manager's.
   *
   * @throws UserException if it is not one that clients can connect to, or must not be used
   */
  static ListenSocket inherit(InheritedSocket socket, Listening how) {
    int fd = socket.fd();
    try (SocketAddress address = new SocketAddress()) {
      int type = address.option(fd, Sockets.SOL_SOCKET, Sockets.SO_TYPE);
      int listens = address.option(fd, Sockets.SOL_SOCKET, Sockets.SO_ACCEPTCONN);
      if (type < 0 || address.read(fd) < 0) {
        throw cannot(socket, "not a socket");
      }
      if (type != Sockets.SOCK_STREAM) {
        throw cannot(socket, "not a stream socket; the unit needs ListenStream=");
      }
      if (listens != 1) {
        throw cannot(socket, "a connection, not a listening socket; the unit needs Accept=no");
      }
      NbdUri uri;
      Tls tls;
      switch (address.family()) {
        case Sockets.AF_UNIX -> {
          uri = NbdUri.unix(address.path(), "");
          tls = how.tlsOf(uri);
        }
        case Sockets.AF_INET, Sockets.AF_INET6 -> {
          uri = NbdUri.tcp(address.host().getHostAddress(), address.port(), "");
          tls = how.tlsOf(uri);
          requireSecure(socket + ", " + uri, address.host(), how, tls);
          setClientOptions(fd, address);
        }
        default -> throw cannot(socket, "neither a unix nor an internet socket");
      }
      Posix.fcntl(fd, F_SETFD, FD_CLOEXEC);
      // Someone may leave between poll and accept: that must not wait for the next.
      Posix.fcntl(fd, F_SETFL, Posix.fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
      return new ListenSocket(fd, uri, tls, null);
    }
  }

  private static UserException cannot(InheritedSocket socket, String why) {
    return new UserException("socket activation: " + socket + ": " + why);
  }

  private static String whyNot(int error) {
    return error == -Errno.EADDRINUSE ? "somebody listens there already" : Errno.text(-error);
  }

  private static UserException cannot(NbdUri uri, String why) {
    return new UserException("cannot listen on " + uri.withExport("") + ": " + why);
  }
}
