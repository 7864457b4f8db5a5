package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;

/**
 * The reads of a history, some under way while other things happen; each is compared with the
 * {@link HistoryModel} when it is answered.
 */
final class HistoryReads {
  private final HistoryWorld world;
  private final List<Read> underWay = new ArrayList<>();

  /** Memory that no read uses. */
  private final List<MemorySegment> buffers = new ArrayList<>();

  HistoryReads(HistoryWorld world) {
    this.world = world;
  }

  int size() {
    return underWay.size();
  }

  /**
   * Begins a read.
   *
   * @param faulty whether the device may fail it
   */
  void begin(BlockQueue queue, int sector, int count, boolean faulty) {
    Read read = new Read(sector, count, faulty);
    underWay.add(read);
    world.counts().reads++;
    queue.read((long) sector * SECTOR, count * SECTOR, read.buffer.address(), read);
  }

  private MemorySegment buffer(long bytes) {
    for (int i = 0; i < buffers.size(); i++) {
      if (buffers.get(i).byteSize() >= bytes) {
        return buffers.remove(i);
      }
    }
    return Arena.ofAuto().allocate(bytes);
  }

  /**
   * Waits for all of them; nobody holds them up any more.
   *
   * @param wait to be called while another thread is waited for
   * @param faulty whether the device may fail them now
   */
  void finish(Runnable wait, boolean faulty) {
    // One may have joined another that was begun while the device failed.
    boolean mayFail = faulty || underWay.stream().anyMatch(read -> read.faulty);
    for (Read read : underWay) {
      while (!read.isAnswered()) {
        wait.run();
      }
      world.require(
          read.errno == 0 || (read.errno == Errno.EIO && mayFail),
          () -> "a read failed with " + read.errno);
      buffers.add(read.buffer);
    }
    underWay.clear();
  }

  /** The engine is no more, and with it what it was reading. */
  void forget() {
    underWay.clear();
  }

  private final class Read implements Completion {
    private static final int NONE = -1;

    private final int sector;
    private final HistoryModel.Expectation expected;
    private final MemorySegment buffer;
    private final boolean faulty;
    private volatile int errno = NONE;

    Read(int sector, int count, boolean faulty) {
      this.sector = sector;
      this.faulty = faulty;
      buffer = buffer((long) count * SECTOR);
      expected = world.model().expect(sector, count);
    }

    boolean isAnswered() {
      return errno != NONE;
    }

    @Override
    public void complete(int result) {
      if (!world.hears()) {
        return;
      }
      world.require(!isAnswered(), "a read was answered twice");
      if (result == 0) {
        for (int i = 0; i < expected.count(); i++) {
          check(i);
        }
      }
      errno = result;
    }

    private void check(int i) {
      int at = sector + i;
      int found = SectorModel.versionOf(buffer, (long) i * SECTOR, at);
      world.require(
          expected.allows(i, found),
          () ->
              "sector "
                  + at
                  + " read as "
                  + found
                  + ", "
                  + expected.describe(i)
                  + "; "
                  + SectorModel.describe(buffer, (long) i * SECTOR));
    }
  }
}
