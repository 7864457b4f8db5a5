package jpcache.cache;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import jpcache.base.Errno;
import jpcache.extent.ExtentMap;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;

/**
 * The key log as the engine sees it: a few open ksets that keys are appended to, by subtree, and
 * the log's head that they are closed to.
 *
 * <p>More than one open kset lets threads that write to different subtrees append side by side.
 * Every one that a batch has touched costs it a kset of its own, so there are only a few.
 */
final class KeyLog {
  private static final Logger LOG = System.getLogger(KeyLog.class.getName());

  /** The most open ksets. */
  static final int MAX_OPEN_KSETS = 4;

  private final LogHead head;
  private final OpenKset[] open;

  KeyLog(PmemRegion region, SegmentTable segments, ZeroExtents zeros, Position start, int lanes) {
    head = new LogHead(region, segments, start);
    open = new OpenKset[Math.clamp(lanes, 1, MAX_OPEN_KSETS)];
    for (int i = 0; i < open.length; i++) {
      open[i] = new OpenKset(head, zeros);
    }
  }

  LogHead head() {
    return head;
  }

  int openKsets() {
    return open.length;
  }

  OpenKset openKset(int index) {
    return open[index];
  }

  /** Which open kset the keys of a logical offset's subtree go to. */
  int indexOf(long offsetBytes) {
    return (int) ((offsetBytes >>> ExtentMap.SUBTREE_SHIFT) % open.length);
  }

  /**
   * Makes all keys durable that have been appended so far.
   *
   * @return 0, or EIO if some ksets could not be stored: they stay open
   */
  int flush() {
    int errno = 0;
    for (OpenKset kset : open) {
      try {
        kset.makeAllDurable();
      } catch (UncheckedIOException e) {
        LOG.log(Level.ERROR, "key log: {0}", e.getMessage());
        errno = Errno.EIO;
      }
    }
    return errno;
  }
}
