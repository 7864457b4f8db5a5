package jpcache.nbd;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import jpcache.base.Errno;
import jpcache.base.UserException;

/**
 * struct sockaddr in native memory: laid out for the system, and read back.
 *
 * <pre>
 *   sockaddr_un    | family 2 | path, ends with NUL                        |
 *   sockaddr_in    | family 2 | port 2 | address 4 | zeros 8                |
 *   sockaddr_in6   | family 2 | port 2 | flow 4 | address 16 | scope 4       |
 * </pre>
 *
 * Port and address are big-endian, the rest is in the machine's order.
 */
final class SocketAddress implements AutoCloseable {
  static final int MAX_UNIX_PATH_BYTES = 107;

  private static final int BYTES = 128;
  private static final int PATH = 2;
  private static final int PORT = 2;
  private static final int ADDRESS_4 = 4;
  private static final int ADDRESS_6 = 8;
  private static final int SCOPE_6 = 24;

  private final long memory = NativeMemory.allocate(BYTES + Integer.BYTES);
  private int bytes;

  /** Lays out the address of a host; {@link #bytes} then is its length. */
  SocketAddress internet(InetAddress host, int port) {
    byte[] address = host.getAddress();
    boolean v6 = address.length == 16;
    bytes = v6 ? 28 : 16;
    ByteBuffer out = NativeMemory.view(memory, bytes).put(new byte[bytes]).clear();
    out.order(ByteOrder.nativeOrder()).putShort((short) (v6 ? Sockets.AF_INET6 : Sockets.AF_INET));
    out.order(ByteOrder.BIG_ENDIAN).putShort((short) port);
    out.put(v6 ? ADDRESS_6 : ADDRESS_4, address);
    if (host instanceof Inet6Address scoped) {
      out.order(ByteOrder.nativeOrder()).putInt(SCOPE_6, scoped.getScopeId());
    }
    return this;
  }

  /**
   * Lays out the address of a socket in the file system.
   *
   * @throws UserException if the path is too long for one
   */
  SocketAddress unix(String path) {
    byte[] name = path.getBytes(StandardCharsets.UTF_8);
    if (name.length > MAX_UNIX_PATH_BYTES) {
      throw new UserException(
          "a unix socket's path has at most "
              + MAX_UNIX_PATH_BYTES
              + " bytes, this one "
              + name.length);
    }
    bytes = PATH + name.length + 1;
    NativeMemory.view(memory, bytes).put(new byte[bytes]);
    NativeMemory.hostShort(memory, (short) Sockets.AF_UNIX);
    NativeMemory.copy(name, 0, memory + PATH, name.length);
    return this;
  }

  /** Reads what address a socket has; returns 0 or {@code -errno}. */
  int read(int fd) {
    NativeMemory.hostInt(memory + BYTES, BYTES);
    int error = Sockets.localAddress(fd, memory, memory + BYTES);
    bytes = error < 0 ? 0 : Math.min(BYTES, NativeMemory.hostInt(memory + BYTES));
    return error;
  }

  /** Reads an option of a socket that is an int; returns it or {@code -errno}. */
  int option(int fd, int level, int option) {
    NativeMemory.hostInt(memory + BYTES, Integer.BYTES);
    int error = Sockets.option(fd, level, option, memory, memory + BYTES);
    return error < 0 ? error : NativeMemory.hostInt(memory);
  }

  /** Sets an option of a socket that is an int. */
  void setOption(int fd, int level, int option, int value) {
    NativeMemory.hostInt(memory, value);
    Sockets.setOption(fd, level, option, memory);
  }

  /** Where it lies. */
  long address() {
    return memory;
  }

  /** How long it is. */
  int bytes() {
    return bytes;
  }

  int family() {
    return bytes < 2 ? 0 : NativeMemory.hostShort(memory);
  }

  int port() {
    return NativeMemory.netShort(memory + PORT) & 0xFFFF;
  }

  /** Of an internet address. */
  InetAddress host() {
    boolean v6 = family() == Sockets.AF_INET6;
    byte[] address = new byte[v6 ? 16 : 4];
    NativeMemory.copy(memory + (v6 ? ADDRESS_6 : ADDRESS_4), address, 0, address.length);
    try {
      return InetAddress.getByAddress(address);
    } catch (UnknownHostException e) {
      throw new AssertionError("4 or 16 bytes are an address", e);
    }
  }

  /** Of a unix socket; empty if it has no place in the file system. */
  String path() {
    int length = 0;
    while (PATH + length < bytes && NativeMemory.view(memory + PATH + length, 1).get() != 0) {
      length++;
    }
    byte[] name = new byte[length];
    NativeMemory.copy(memory + PATH, name, 0, length);
    return new String(name, StandardCharsets.UTF_8);
  }

  /** Who is at the other end of a connection, for the log. */
  static String ofPeer(int fd) {
    try (SocketAddress peer = new SocketAddress()) {
      NativeMemory.hostInt(peer.memory + BYTES, BYTES);
      int error = Sockets.peerAddress(fd, peer.memory, peer.memory + BYTES);
      if (error < 0) {
        return "a client (" + Errno.text(-error) + ")";
      }
      peer.bytes = Math.min(BYTES, NativeMemory.hostInt(peer.memory + BYTES));
      return switch (peer.family()) {
        case Sockets.AF_INET -> peer.host().getHostAddress() + ":" + peer.port();
        case Sockets.AF_INET6 -> "[" + peer.host().getHostAddress() + "]:" + peer.port();
        default -> "a client on a unix socket";
      };
    }
  }

  @Override
  public void close() {
    NativeMemory.free(memory, BYTES + Integer.BYTES);
  }
}
