package jpcache.cache;

import jpcache.media.Kset;
import jpcache.media.Layout;

/**
 * A kset that is being filled.
 *
 * <p>A key gets a ticket when it is appended; it is durable once {@link #durable} has reached the
 * ticket. Keys of one subtree always go to the same open kset and are appended under the subtree's
 * lock: their order in the log is then that in which they entered the tree, and replay has nothing
 * else to go by.
 *
 * <p>Guarded by its own monitor. Lock order: subtree, open kset, {@link LogHead}, {@link
 * SegmentTable}.
 *
 * <p>Kernel counterpart: {@code struct pcache_cache_kset}, {@code cache_key_append}.
 */
final class OpenKset {
  /** What lies in an open kset can neither be written back nor collected: it is never more. */
  static final long MAX_BYTES = 16L << 20;

  private final LogHead head;
  private final ZeroExtents zeros;
  private final Kset kset = new Kset();
  private long bytes;
  private long dirtyBytes;
  private long appended;
  private long durable;

  OpenKset(LogHead head, ZeroExtents zeros) {
    this.head = head;
    this.zeros = zeros;
  }

  /**
   * Appends a key whose data has been drained by the thread that copied it, and whose room in the
   * log has been reserved.
   *
   * @return its ticket, above 0
   * @throws java.io.UncheckedIOException if the kset had to be closed first and could not be
   *     stored; the key has not been appended then
   */
  synchronized long append(
      long offsetBytes,
      int lengthBytes,
      int flags,
      int segment,
      int segmentOffsetBytes,
      long generation,
      int dataCrc) {
    if (kset.isFull() || (kset.keyCount() > 0 && bytes + lengthBytes > MAX_BYTES)) {
      close();
    }
    kset.append(offsetBytes, lengthBytes, flags, segment, segmentOffsetBytes, generation, dataCrc);
    bytes += lengthBytes;
    if ((flags & Layout.KEY_FLAG_CLEAN) == 0) {
      dirtyBytes += zeros.roomBytes(segment, segmentOffsetBytes, lengthBytes);
    }
    return ++appended;
  }

  /** Makes all keys up to this ticket durable. Whoever comes first does it for the others. */
  synchronized void makeDurable(long ticket) {
    if (durable < ticket) {
      close();
    }
  }

  /** Makes all keys durable that have been appended so far. */
  synchronized void makeAllDurable() {
    makeDurable(appended);
  }

  private void close() {
    kset.seal();
    head.write(kset, dirtyBytes);
    kset.clear();
    bytes = 0;
    dirtyBytes = 0;
    durable = appended;
  }
}
