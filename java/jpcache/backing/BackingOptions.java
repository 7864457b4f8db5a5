package jpcache.backing;

import jpcache.base.UserException;

/**
 * How to open a backing device.
 *
 * @param readOnly nothing is ever written, and other readers are let in
 * @param way how requests reach the kernel
 * @param depth how many of them the kernel is given at once, 1 to {@value #MAX_DEPTH}; 0 for what
 *     is best for the way: {@value #RING_DEPTH} by io_uring, {@value #POOL_THREADS} by the pool
 */
public record BackingOptions(boolean readOnly, Way way, int depth) {
  // Where more no longer helped, see docs/backing.md.
  static final int RING_DEPTH = 128;
  static final int POOL_THREADS = 32;

  public static final int MAX_DEPTH = 256;

  /** How requests reach the kernel. */
  public enum Way {
    /** By io_uring where the kernel, and whoever runs us, allows it; otherwise by the pool. */
    AUTO,
    /** By io_uring. */
    URING,
    /** By threads that block, one for each request. */
    POOL
  }

  public BackingOptions {
    if (depth < 0 || depth > MAX_DEPTH) {
      throw badDepth(depth);
    }
  }

  public static BackingOptions readWrite() {
    return new BackingOptions(false, Way.AUTO, 0);
  }

  public static BackingOptions forReading() {
    return new BackingOptions(true, Way.AUTO, 0);
  }

  public BackingOptions withWay(Way other) {
    return new BackingOptions(readOnly, other, depth);
  }

  public BackingOptions withDepth(int other) {
    if (other == 0) {
      throw badDepth(other); // what nobody chose is not for users to choose
    }
    return new BackingOptions(readOnly, way, other);
  }

  private static UserException badDepth(int depth) {
    return new UserException("backing depth " + depth + ": choose from 1 to " + MAX_DEPTH);
  }

  /** Starts what takes the requests to the kernel, for a device of this name. */
  RawIo startIo(System.Logger log, String name) {
    if (way == Way.POOL) {
      return pool();
    }
    try {
      return UringIo.start(depth == 0 ? RING_DEPTH : depth);
    } catch (Ring.UnavailableException e) {
      if (way == Way.URING) {
        throw new UserException(
            name + ": io_uring is not to be had: " + e.getMessage() + "; serve with the pool", e);
      }
      log.log(
          System.Logger.Level.INFO,
          "{0}: io_uring is not to be had ({1}): threads do its work",
          name,
          e.getMessage());
      return pool();
    }
  }

  private RawIo pool() {
    return new PooledIo(depth == 0 ? POOL_THREADS : depth);
  }
}
