package jpcache.base;

/** Linux error numbers: what system calls give, and what block requests end with. */
public final class Errno {
  public static final int EPERM = 1;
  public static final int ENOENT = 2;
  public static final int EINTR = 4;
  public static final int EIO = 5;
  public static final int ENXIO = 6;
  public static final int EAGAIN = 11;
  public static final int ENOMEM = 12;
  public static final int EACCES = 13;
  public static final int EFAULT = 14;
  public static final int EBUSY = 16;
  public static final int EINVAL = 22;
  public static final int ENFILE = 23;
  public static final int EMFILE = 24;
  public static final int EFBIG = 27;
  public static final int ENOSPC = 28;
  public static final int EROFS = 30;
  public static final int EPIPE = 32;
  public static final int EBADMSG = 74;
  public static final int EOVERFLOW = 75;
  public static final int EOPNOTSUPP = 95;
  public static final int EADDRINUSE = 98;
  public static final int ENOBUFS = 105;
  public static final int ESHUTDOWN = 108;
  public static final int ECONNREFUSED = 111;
  public static final int EDQUOT = 122;

  private Errno() {}

  /** The system's own words for an error number, as {@code strerror} gives them. */
  public static String text(int errno) {
    return Posix.strerror(errno);
  }
}
