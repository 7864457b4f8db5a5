package jpcache.backing;

import jpcache.base.UserException;

/**
 * How to open a backing device.
 *
 * @param readOnly nothing is ever written, and other readers are let in
 * @param threads how many reads and writes the kernel is given at once, 1 to {@value #MAX_THREADS}
 */
public record BackingOptions(boolean readOnly, int threads) {
  /** Where more no longer helped, see docs/backing.md. */
  public static final int DEFAULT_THREADS = 32;

  public static final int MAX_THREADS = 256;

  public BackingOptions {
    if (threads < 1 || threads > MAX_THREADS) {
      throw new UserException("backing threads " + threads + ": choose from 1 to " + MAX_THREADS);
    }
  }

  public static BackingOptions readWrite() {
    return new BackingOptions(false, DEFAULT_THREADS);
  }

  public static BackingOptions forReading() {
    return new BackingOptions(true, DEFAULT_THREADS);
  }

  public BackingOptions withThreads(int count) {
    return new BackingOptions(readOnly, count);
  }
}
