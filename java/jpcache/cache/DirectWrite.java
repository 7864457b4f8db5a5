package jpcache.cache;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import org.jspecify.annotations.Nullable;

/**
 * A write that is answered when the backing device has it.
 *
 * <p>What of it the cache keeps is in persistent memory from the start; its keys enter when its
 * turn comes, and are durable before the device sees a byte:
 *
 * <pre>
 *   staged    data copied, room and place in the order taken        nothing to be seen
 *   turn      keys enter tree and log, dirty; log drained           reads see the new data
 *             backing write
 *   success   extents marked clean; answered                        the log still says dirty
 *   failure   answered with the error                               dirty: write-back repairs it
 *   later     write-back flushes the device and moves dirty_tail past the keys
 * </pre>
 *
 * <p>So whatever stops it, at any point, the log's newest key for each byte the cache holds is the
 * truth, and what the device may hold of it instead, old or torn, is written again before anybody
 * reads it from there.
 */
final class DirectWrite {
  final long offsetBytes;
  final int lengthBytes;
  final boolean fua;
  final Completion done;

  /** The data, for the device; null if it is zeros, which the device makes. */
  final @Nullable MemorySegment buffer;

  /** Of zeros: whether the device may give up the space. */
  final boolean unmap;

  /** What the cache keeps of it. */
  final StagedWrites pieces = new StagedWrites(2);

  /** Where it goes past the cache: nothing may fill from the device there until it is settled. */
  final List<Fills.Unsettled> unsettled = new ArrayList<>(1);

  /** What its requests to the device complete; made early, so that a turn never lacks memory. */
  final Miss parts;

  final DeviceOrder.Turn turn;

  DirectWrite(
      DirectWrites writes,
      long offsetBytes,
      int lengthBytes,
      boolean fua,
      Completion done,
      @Nullable MemorySegment buffer,
      boolean unmap) {
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
    this.fua = fua;
    this.done = done;
    this.buffer = buffer;
    this.unmap = unmap;
    parts = new Miss(errno -> writes.written(this, errno));
    turn = writes.order().enter(offsetBytes, lengthBytes, () -> writes.run(this));
  }

  long endBytes() {
    return offsetBytes + lengthBytes;
  }
}
