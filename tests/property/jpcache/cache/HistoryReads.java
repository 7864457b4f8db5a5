package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.SimBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;

/** The reads of a history, some under way while other things happen. */
final class HistoryReads {
  private static final int READS = 3;

  /** A read that may still be under way, and what it may give. */
  private record Read(
      int sector,
      HistoryModel.Expectation expected,
      MemorySegment buffer,
      boolean faulty,
      AtomicInteger errno) {}

  private final ModeHistory history;
  private final SimBacking backing;
  private final List<Read> reads = new ArrayList<>();
  private final ArrayList<MemorySegment> buffers = new ArrayList<>();

  HistoryReads(ModeHistory history, SimBacking backing, long maxBytes) {
    this.history = history;
    this.backing = backing;
    for (int i = 0; i < READS; i++) {
      buffers.add(history.allocate(maxBytes));
    }
  }

  void begin(BlockQueue queue, int sector, int count, boolean hold) {
    if (buffers.isEmpty()) {
      finish();
    }
    Read read =
        new Read(
            sector,
            history.model().expect(sector, count),
            buffers.removeLast(),
            history.isFaulty(),
            new AtomicInteger(-1));
    reads.add(read);
    if (hold) {
      backing.holdReads();
    }
    queue.read(
        (long) sector * SECTOR,
        count * SECTOR,
        read.buffer.address(),
        errno -> read.errno.compareAndSet(-1, errno));
  }

  void finish() {
    // One may have joined another that was begun while the device failed.
    boolean faults = history.isFaulty() || reads.stream().anyMatch(Read::faulty);
    backing.releaseReads();
    for (Iterator<Read> i = reads.iterator(); i.hasNext(); ) {
      Read read = i.next();
      while (read.errno.get() < 0) {
        history.spin();
      }
      if (read.errno.get() == 0) {
        check(read);
      } else {
        history.require(
            read.errno.get() == Errno.EIO && faults, "a read failed with " + read.errno);
      }
      buffers.add(read.buffer);
      i.remove();
    }
  }

  private void check(Read read) {
    for (int i = 0; i < read.expected.count(); i++) {
      int sector = read.sector + i;
      long at = (long) i * SECTOR;
      int got = SectorModel.versionOf(read.buffer, at, sector);
      int index = i;
      history.require(
          read.expected.allows(i, got),
          () ->
              "sector "
                  + sector
                  + " read as "
                  + got
                  + ", "
                  + read.expected.describe(index)
                  + "; "
                  + SectorModel.describe(read.buffer, at));
    }
  }
}
