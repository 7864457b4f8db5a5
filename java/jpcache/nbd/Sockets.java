package jpcache.nbd;

import jpcache.base.CFunction;
import jpcache.base.Errno;

/**
 * The Linux system calls on sockets, by address, for threads that may block in them.
 *
 * <p>Each returns its result, or {@code -errno} when it failed; an interrupted call is made again.
 * Constants are those of x86-64 and AArch64.
 */
final class Sockets {
  static final int AF_UNIX = 1;
  static final int AF_INET = 2;
  static final int AF_INET6 = 10;

  static final int SOL_SOCKET = 1;
  static final int SO_REUSEADDR = 2;
  static final int SO_TYPE = 3;
  static final int SO_KEEPALIVE = 9;
  static final int SO_ACCEPTCONN = 30;
  static final int IPPROTO_TCP = 6;
  static final int TCP_NODELAY = 1;
  static final int IPPROTO_IPV6 = 41;
  static final int IPV6_V6ONLY = 26;

  static final int POLLIN = 1;
  static final int POLLOUT = 4;
  static final int POLLERR = 8;
  static final int POLLHUP = 16;
  static final int POLLNVAL = 32;

  static final int SHUT_WR = 1;

  /** The most parts that one {@link #send} gathers (IOV_MAX). */
  static final int MAX_PARTS = 1024;

  /** Address and length of a part that {@link #send} gathers (struct iovec). */
  static final int PART_BYTES = 16;

  /** struct msghdr; only its parts are ever used. */
  static final int MESSAGE_BYTES = 56;

  /** Where in struct msghdr the address of its parts is. */
  static final int MESSAGE_PARTS = 16;

  /** Where in struct msghdr the number of its parts is. */
  static final int MESSAGE_PART_COUNT = 24;

  /** struct pollfd. */
  static final int POLL_BYTES = 8;

  static final int SOCK_STREAM = 1;
  private static final int SOCK_NONBLOCK = 04000;
  private static final int SOCK_CLOEXEC = 02000000;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;

  private static final CFunction SOCKET = CFunction.returningInt("socket");
  private static final CFunction BIND = CFunction.returningInt("bind");
  private static final CFunction CONNECT = CFunction.returningInt("connect");
  private static final CFunction LISTEN = CFunction.returningInt("listen");
  private static final CFunction ACCEPT4 = CFunction.returningInt("accept4");
  private static final CFunction RECV = CFunction.returningLong("recv");
  private static final CFunction SENDMSG = CFunction.returningLong("sendmsg");
  private static final CFunction POLL = CFunction.returningInt("poll");
  private static final CFunction SHUTDOWN = CFunction.returningInt("shutdown");
  private static final CFunction SETSOCKOPT = CFunction.returningInt("setsockopt");
  private static final CFunction GETSOCKOPT = CFunction.returningInt("getsockopt");
  private static final CFunction GETPEERNAME = CFunction.returningInt("getpeername");
  private static final CFunction GETSOCKNAME = CFunction.returningInt("getsockname");
  private static final CFunction FCHMOD = CFunction.returningInt("fchmod");

  private Sockets() {}

  /** A stream socket; {@code wait} is whether accept and connect on it may block. */
  static int socket(int family, boolean wait) {
    int type = SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK);
    return (int) SOCKET.call(family, type, 0);
  }

  static int bind(int fd, long address, int addressBytes) {
    return (int) BIND.call(fd, address, addressBytes);
  }

  static int connect(int fd, long address, int addressBytes) {
    return (int) CONNECT.call(fd, address, addressBytes);
  }

  static int listen(int fd, int backlog) {
    return (int) LISTEN.call(fd, backlog);
  }

  /** The next connection that waits at a listening socket. */
  static int accept(int fd) {
    return (int) ACCEPT4.call(fd, 0, 0, SOCK_CLOEXEC);
  }

  /** What has arrived, 0 at the end of the stream, {@code -EAGAIN} if nothing has; never waits. */
  static long receive(int fd, long address, long bytes) {
    long n;
    do {
      n = RECV.call(fd, address, bytes, MSG_DONTWAIT);
    } while (n == -Errno.EINTR);
    return n;
  }

  /**
   * Sends the parts of a struct msghdr as far as the socket takes them; never waits, and a peer
   * that is gone is an error, not a signal.
   */
  static long send(int fd, long message) {
    long n;
    do {
      n = SENDMSG.call(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n == -Errno.EINTR);
    return n;
  }

  /**
   * Waits until one of {@code count} struct pollfd is ready, or for {@code timeoutMs} (-1: for
   * ever). Returns how many are; an interrupted wait is one that found none.
   */
  static int poll(long polls, int count, int timeoutMs) {
    int n = (int) POLL.call(polls, count, timeoutMs);
    return n == -Errno.EINTR ? 0 : n;
  }

  static int shutdown(int fd, int how) {
    return (int) SHUTDOWN.call(fd, how);
  }

  /** Sets an option that is an int at {@code valueAddress}. */
  static int setOption(int fd, int level, int option, long valueAddress) {
    return (int) SETSOCKOPT.call(fd, level, option, valueAddress, Integer.BYTES);
  }

  /** Reads an option that is an int; its length is an int in memory that is read and written. */
  static int option(int fd, int level, int option, long valueAddress, long lengthAddress) {
    return (int) GETSOCKOPT.call(fd, level, option, valueAddress, lengthAddress);
  }

  /** The address of the other end; its length is an int in memory that is read and written. */
  static int peerAddress(int fd, long address, long lengthAddress) {
    return (int) GETPEERNAME.call(fd, address, lengthAddress);
  }

  /** The socket's own address; its length is an int in memory that is read and written. */
  static int localAddress(int fd, long address, long lengthAddress) {
    return (int) GETSOCKNAME.call(fd, address, lengthAddress);
  }

  /** Before bind, the mode that a unix socket's file is made with (less the umask). */
  static int setMode(int fd, int mode) {
    return (int) FCHMOD.call(fd, mode);
  }
}
