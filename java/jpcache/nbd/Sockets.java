package jpcache.nbd;

import static jpcache.base.Downcalls.INT;
import static jpcache.base.Downcalls.LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import jpcache.base.Downcalls;
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

  private static final MethodHandle SOCKET =
      Downcalls.withErrno("socket", FunctionDescriptor.of(INT, INT, INT, INT));
  private static final MethodHandle BIND =
      Downcalls.withErrno("bind", FunctionDescriptor.of(INT, INT, LONG, INT));
  private static final MethodHandle CONNECT =
      Downcalls.withErrno("connect", FunctionDescriptor.of(INT, INT, LONG, INT));
  private static final MethodHandle LISTEN =
      Downcalls.withErrno("listen", FunctionDescriptor.of(INT, INT, INT));
  private static final MethodHandle ACCEPT4 =
      Downcalls.withErrno("accept4", FunctionDescriptor.of(INT, INT, LONG, LONG, INT));
  private static final MethodHandle RECV =
      Downcalls.withErrno("recv", FunctionDescriptor.of(LONG, INT, LONG, LONG, INT));
  private static final MethodHandle SENDMSG =
      Downcalls.withErrno("sendmsg", FunctionDescriptor.of(LONG, INT, LONG, INT));
  private static final MethodHandle POLL =
      Downcalls.withErrno("poll", FunctionDescriptor.of(INT, LONG, LONG, INT));
  private static final MethodHandle SHUTDOWN =
      Downcalls.withErrno("shutdown", FunctionDescriptor.of(INT, INT, INT));
  private static final MethodHandle SETSOCKOPT =
      Downcalls.withErrno("setsockopt", FunctionDescriptor.of(INT, INT, INT, INT, LONG, INT));
  private static final MethodHandle GETSOCKOPT =
      Downcalls.withErrno("getsockopt", FunctionDescriptor.of(INT, INT, INT, INT, LONG, LONG));
  private static final MethodHandle GETPEERNAME =
      Downcalls.withErrno("getpeername", FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle GETSOCKNAME =
      Downcalls.withErrno("getsockname", FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle FCHMOD =
      Downcalls.withErrno("fchmod", FunctionDescriptor.of(INT, INT, INT));

  private Sockets() {}

  /** A stream socket; {@code wait} is whether accept and connect on it may block. */
  static int socket(int family, boolean wait) {
    try {
      MemorySegment state = Downcalls.errnoState();
      int type = SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK);
      return Downcalls.orNegativeErrno((int) SOCKET.invokeExact(state, family, type, 0), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  static int bind(int fd, long address, int addressBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) BIND.invokeExact(state, fd, address, addressBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  static int connect(int fd, long address, int addressBytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) CONNECT.invokeExact(state, fd, address, addressBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  static int listen(int fd, int backlog) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) LISTEN.invokeExact(state, fd, backlog), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** The next connection that waits at a listening socket. */
  static int accept(int fd) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) ACCEPT4.invokeExact(state, fd, 0L, 0L, SOCK_CLOEXEC), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** What has arrived, 0 at the end of the stream, {@code -EAGAIN} if nothing has; never waits. */
  static long receive(int fd, long address, long bytes) {
    try {
      MemorySegment state = Downcalls.errnoState();
      long n;
      do {
        n =
            Downcalls.orNegativeErrno(
                (long) RECV.invokeExact(state, fd, address, bytes, MSG_DONTWAIT), state);
      } while (n == -Errno.EINTR);
      return n;
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /**
   * Sends the parts of a struct msghdr as far as the socket takes them; never waits, and a peer
   * that is gone is an error, not a signal.
   */
  static long send(int fd, long message) {
    try {
      MemorySegment state = Downcalls.errnoState();
      long n;
      do {
        n =
            Downcalls.orNegativeErrno(
                (long) SENDMSG.invokeExact(state, fd, message, MSG_DONTWAIT | MSG_NOSIGNAL), state);
      } while (n == -Errno.EINTR);
      return n;
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /**
   * Waits until one of {@code count} struct pollfd is ready, or for {@code timeoutMs} (-1: for
   * ever). Returns how many are; an interrupted wait is one that found none.
   */
  static int poll(long polls, int count, int timeoutMs) {
    try {
      MemorySegment state = Downcalls.errnoState();
      int n =
          Downcalls.orNegativeErrno(
              (int) POLL.invokeExact(state, polls, (long) count, timeoutMs), state);
      return n == -Errno.EINTR ? 0 : n;
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  static int shutdown(int fd, int how) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) SHUTDOWN.invokeExact(state, fd, how), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Sets an option that is an int at {@code valueAddress}. */
  static int setOption(int fd, int level, int option, long valueAddress) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) SETSOCKOPT.invokeExact(state, fd, level, option, valueAddress, Integer.BYTES),
          state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Reads an option that is an int; its length is an int in memory that is read and written. */
  static int option(int fd, int level, int option, long valueAddress, long lengthAddress) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) GETSOCKOPT.invokeExact(state, fd, level, option, valueAddress, lengthAddress),
          state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** The address of the other end; its length is an int in memory that is read and written. */
  static int peerAddress(int fd, long address, long lengthAddress) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) GETPEERNAME.invokeExact(state, fd, address, lengthAddress), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** The socket's own address; its length is an int in memory that is read and written. */
  static int localAddress(int fd, long address, long lengthAddress) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno(
          (int) GETSOCKNAME.invokeExact(state, fd, address, lengthAddress), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Before bind, the mode that a unix socket's file is made with (less the umask). */
  static int setMode(int fd, int mode) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) FCHMOD.invokeExact(state, fd, mode), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }
}
