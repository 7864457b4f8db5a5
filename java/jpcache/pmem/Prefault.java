package jpcache.pmem;

import jpcache.base.Posix;

/**
 * Maps a region's pages before anybody stores to them.
 *
 * <p>A file on tmpfs is mapped page by page, each at the first store to it: a fault that costs
 * several times the store, and for memory that the machine has not used before many times. So the
 * first lap of the log through a cache that stands in for persistent memory would be a slow one. A
 * thread of this class's own makes all pages present while clients are served already. Persistent
 * memory that is mapped directly comes in pieces of 2 MiB or more, and needs nothing of the kind.
 */
public final class Prefault implements AutoCloseable {
  /** A few milliseconds: so long {@link #close} may wait, and other changes of the mapping. */
  private static final long STEP_BYTES = 4 << 20;

  private final PmemRegion region;
  private final Thread thread;
  private volatile boolean closed;

  private Prefault(PmemRegion region) {
    this.region = region;
    thread = Thread.ofPlatform().daemon().name("prefault").unstarted(this::run);
  }

  /** Begins, where it is of use. To be closed before the region. */
  public static Prefault start(PmemRegion region) {
    Prefault started = new Prefault(region);
    if (region.kind() == PmemRegion.Kind.EMULATED) {
      started.thread.start();
    }
    return started;
  }

  private void run() {
    for (long from = 0; from < region.sizeBytes() && !closed; from += STEP_BYTES) {
      long length = Math.min(STEP_BYTES, region.sizeBytes() - from);
      if (Posix.madvise(region.address() + from, length, Posix.MADV_POPULATE_WRITE) < 0) {
        return; // before Linux 5.14, or a page is gone: whoever needs it finds out
      }
    }
  }

  /** Returns when no page is touched any more. */
  @Override
  public void close() {
    closed = true;
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
