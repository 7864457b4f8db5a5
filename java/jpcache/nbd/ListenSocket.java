package jpcache.nbd;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * A socket that clients connect to, on TCP or in the file system.
 *
 * <p>A unix socket's file is made with mode 0600 and removed on close, if it is still the one that
 * was made. One that a dead server left behind is replaced; one that somebody listens on is not,
 * nor is anything that is not a socket. (Two servers that start on one stale file at the same
 * moment are not kept apart.)
 */
final class ListenSocket implements AutoCloseable {
  private static final int BACKLOG = 1024;
  private static final int MODE = 0600;
  private static final int ADDRESS_BYTES = 128;
  private static final int UNIX_PATH_OFFSET = 2;
  private static final int MAX_UNIX_PATH_BYTES = 107;
  private static final int FILE_TYPE_MASK = 0170000;
  private static final int FILE_TYPE_SOCKET = 0140000;

  private final int fd;
  private final NbdUri address;
  private final @Nullable Object inode;

  private ListenSocket(int fd, NbdUri address, @Nullable Object inode) {
    this.fd = fd;
    this.address = address;
    this.inode = inode;
  }

  /**
   * Listens.
   *
   * @throws UserException if it cannot, or must not: other machines reach the address and {@code
   *     insecure} is false
   */
  static ListenSocket open(NbdUri uri, boolean insecure) {
    long memory = NativeMemory.allocate(ADDRESS_BYTES + Integer.BYTES);
    try {
      return uri.socketPath() != null
          ? openUnix(uri, uri.socketPath(), memory)
          : openTcp(uri, insecure, memory);
    } finally {
      NativeMemory.free(memory, ADDRESS_BYTES + Integer.BYTES);
    }
  }

  int fd() {
    return fd;
  }

  /** Where it listens, with the port that the system chose. */
  NbdUri address() {
    return address;
  }

  @Override
  public void close() {
    Posix.close(fd);
    if (address.socketPath() != null) {
      Path path = Path.of(address.socketPath());
      try {
        if (Objects.equals(inode, unixAttribute(path, "ino"))) {
          Files.deleteIfExists(path);
        }
      } catch (IOException e) {
        // Somebody else removed or replaced it.
      }
    }
  }

  // ---- TCP ---------------------------------------------------------------------------------

  private static ListenSocket openTcp(NbdUri uri, boolean insecure, long memory) {
    InetAddress host;
    try {
      host = InetAddress.getByName(uri.host());
    } catch (UnknownHostException e) {
      throw cannot(uri, "the host is not known");
    }
    if (!host.isLoopbackAddress() && !insecure) {
      throw cannot(
          uri,
          "other machines reach this address and nothing is encrypted; allow it with --insecure");
    }
    boolean v6 = host instanceof Inet6Address;
    int fd = Sockets.socket(v6 ? Sockets.AF_INET6 : Sockets.AF_INET, false);
    if (fd < 0) {
      throw cannot(uri, Errno.text(-fd));
    }
    // What is set here holds for accepted connections, too.
    NativeMemory.hostInt(memory, 1);
    Sockets.setOption(fd, Sockets.SOL_SOCKET, Sockets.SO_REUSEADDR, memory);
    Sockets.setOption(fd, Sockets.SOL_SOCKET, Sockets.SO_KEEPALIVE, memory);
    Sockets.setOption(fd, Sockets.IPPROTO_TCP, Sockets.TCP_NODELAY, memory);
    if (v6) {
      Sockets.setOption(fd, Sockets.IPPROTO_IPV6, Sockets.IPV6_V6ONLY, memory);
    }
    int addressBytes = internetAddress(memory, host, uri.port());
    int error = Sockets.bind(fd, memory, addressBytes);
    if (error == 0) {
      error = Sockets.listen(fd, BACKLOG);
    }
    if (error == 0) {
      NativeMemory.hostInt(memory + ADDRESS_BYTES, ADDRESS_BYTES);
      error = Sockets.localAddress(fd, memory, memory + ADDRESS_BYTES);
    }
    if (error < 0) {
      Posix.close(fd);
      throw cannot(uri, whyNot(error));
    }
    int port = NativeMemory.netShort(memory + 2) & 0xFFFF;
    return new ListenSocket(fd, NbdUri.tcp(uri.host(), port, ""), null);
  }

  /** Lays out struct sockaddr_in or sockaddr_in6; returns its length. */
  private static int internetAddress(long memory, InetAddress host, int port) {
    byte[] bytes = host.getAddress();
    boolean v6 = bytes.length == 16;
    int length = v6 ? 28 : 16;
    ByteBuffer out = NativeMemory.view(memory, length).put(new byte[length]).clear();
    out.order(ByteOrder.nativeOrder()).putShort((short) (v6 ? Sockets.AF_INET6 : Sockets.AF_INET));
    out.order(ByteOrder.BIG_ENDIAN).putShort((short) port);
    out.put(v6 ? 8 : 4, bytes);
    if (host instanceof Inet6Address scoped) {
      out.order(ByteOrder.nativeOrder()).putInt(24, scoped.getScopeId());
    }
    return length;
  }

  // ---- Unix --------------------------------------------------------------------------------

  private static ListenSocket openUnix(NbdUri uri, String path, long memory) {
    byte[] name = path.getBytes(StandardCharsets.UTF_8);
    if (name.length > MAX_UNIX_PATH_BYTES) {
      throw cannot(
          uri,
          "a unix socket's path has at most "
              + MAX_UNIX_PATH_BYTES
              + " bytes, this one "
              + name.length);
    }
    NativeMemory.hostShort(memory, (short) Sockets.AF_UNIX);
    NativeMemory.copy(name, 0, memory + UNIX_PATH_OFFSET, name.length); // mapped memory is zeroed
    int addressBytes = UNIX_PATH_OFFSET + name.length + 1;
    removeStale(uri, Path.of(path), memory, addressBytes);

    int fd = Sockets.socket(Sockets.AF_UNIX, false);
    if (fd < 0) {
      throw cannot(uri, Errno.text(-fd));
    }
    // Before bind, so that there is no moment at which others could connect.
    Sockets.setMode(fd, MODE);
    int error = Sockets.bind(fd, memory, addressBytes);
    if (error == 0) {
      error = Sockets.listen(fd, BACKLOG);
    }
    if (error < 0) {
      Posix.close(fd);
      throw cannot(uri, whyNot(error));
    }
    try {
      return new ListenSocket(fd, uri.withExport(""), unixAttribute(Path.of(path), "ino"));
    } catch (IOException e) {
      Posix.close(fd);
      throw cannot(uri, "the socket has vanished");
    }
  }

  private static void removeStale(NbdUri uri, Path path, long address, int addressBytes) {
    try {
      Object mode = unixAttribute(path, "mode");
      if (((Integer) mode & FILE_TYPE_MASK) != FILE_TYPE_SOCKET) {
        throw cannot(uri, "the path exists and is not a socket");
      }
      int fd = Sockets.socket(Sockets.AF_UNIX, false);
      int result = fd < 0 ? fd : Sockets.connect(fd, address, addressBytes);
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

  private static String whyNot(int error) {
    return error == -Errno.EADDRINUSE ? "somebody listens there already" : Errno.text(-error);
  }

  private static UserException cannot(NbdUri uri, String why) {
    return new UserException("cannot listen on " + uri.withExport("") + ": " + why);
  }
}
