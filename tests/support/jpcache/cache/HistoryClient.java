package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import org.jspecify.annotations.Nullable;

/**
 * A client of a history's cache, with a queue and a batch that is not yet committed. It tells the
 * {@link HistoryModel} when each of its writes may be seen, and when it must be.
 *
 * <p>One thread; answers may come on others.
 */
final class HistoryClient {
  /** A direct write of zeros counts for so much with the engine, however short it is. */
  private static final long ZEROS_COST_BYTES = 1 << 20;

  private final HistoryWorld world;
  private final MemorySegment buffer;
  private final List<Write> staged = new ArrayList<>();

  /** Those that the engine lets in when it has room. */
  private final Set<Write> waiting = ConcurrentHashMap.newKeySet();

  private final AtomicLong outstandingBytes = new AtomicLong();
  private @Nullable BlockQueue queue;
  private long used;

  /** What the cache's mode was when the batch began; null before. */
  private @Nullable CacheMode mode;

  /** Something of the batch is in the cache already, and cannot be taken back. */
  private boolean published;

  /** What the engine is being given just now. */
  private @Nullable Write handedOver;

  private boolean committing;

  /** A client without a queue, whose batches have so many bytes at most. */
  HistoryClient(HistoryWorld world, MemorySegment buffer) {
    this.world = world;
    this.buffer = buffer;
  }

  void open() {
    queue = world.cache().openQueue();
  }

  BlockQueue queue() {
    return Objects.requireNonNull(queue, "an open client");
  }

  /** Of writes that have been handed over and not been answered. */
  long outstandingBytes() {
    return outstandingBytes.get();
  }

  // ---- requests ----

  void write(int sector, int count, boolean fua) {
    long bytes = (long) count * SECTOR;
    if (used + bytes > buffer.byteSize()) {
      commit();
    }
    Write write = new Write(sector, count, fua, false);
    SectorModel.fill(buffer, used, sector, count, write.number);
    long address = buffer.address() + used;
    used += bytes;
    world.counts().writtenBytes += bytes;
    handOver(write, () -> queue().write((long) sector * SECTOR, (int) bytes, address, fua, write));
  }

  /** Zeroes some sectors, or discards them. */
  void zero(int sector, int count, boolean unmap, boolean fua) {
    long bytes = (long) count * SECTOR;
    Write write = new Write(sector, count, fua, true);
    world.counts().zeroedBytes += bytes;
    handOver(write, () -> queue().writeZeroes((long) sector * SECTOR, bytes, unmap, fua, write));
  }

  private void handOver(Write write, Runnable request) {
    int others = world.cache().backlog().size();
    CacheMode batchMode = mode != null ? mode : world.cache().mode();
    if (others == 0 || !write.zeros) {
      mode = batchMode; // zeros that wait behind others do not begin a batch
    }
    write.isDirect = batchMode == CacheMode.WRITE_THROUGH || batchMode == CacheMode.WRITE_AROUND;
    write.lasts =
        write.fua || (write.isDirect ? batchMode == CacheMode.WRITE_THROUGH : lastsAtOnce());
    outstandingBytes.addAndGet(write.costBytes());
    if (write.isDirect) {
      write.begin(); // it takes its place among those that overlap it
    }
    handedOver = write;
    request.run();
    handedOver = null;
    if (world.cache().backlog().size() > others) {
      waits(write);
    } else {
      staged.add(write);
      world.counts().directWrites += write.isDirect ? 1 : 0;
      world.require(write.isDirect || !write.isComplete, "a write completed before its commit");
    }
  }

  private boolean lastsAtOnce() {
    return world.durability() == Durability.ACK;
  }

  /** The engine has published what this queue had staged: that came first. */
  private void waits(Write write) {
    published |= !staged.isEmpty();
    staged.forEach(Write::publish);
    if (world.writesDirectly() || write.zeros) {
      write.begin(); // in which mode, or part by part: who knows
      write.lasts = write.fua || (write.lasts && !world.writesDirectly());
    }
    waiting.add(write);
    world.counts().waited++;
  }

  void commit() {
    committing = true;
    queue().commit();
    committing = false;
    for (Write write : staged) {
      world.require(
          write.isDirect || write.isComplete || !world.hears(),
          "a staged write is not complete after its commit");
    }
    forgetBatch();
  }

  /** With direct writes it is the device's, and may take its time or fail. */
  void flush() {
    commit();
    HistoryModel model = world.model();
    int[] floors = model.floors();
    boolean[] done = {false};
    queue()
        .flush(errno -> {
          if (!world.hears()) {
            return;
          }
          done[0] = true;
          if (errno == 0) {
            model.flushed(floors);
          } else {
            world.requireFailure(errno, "flush");
            model.doubt();
          }
        });
    queue().commit();
    world.counts().flushes++;
    world.require(
        world.writesDirectly() || done[0] || !world.hears(),
        "a flush did not complete in its commit");
  }

  // ---- ends ----

  /** Gives the queue up, and what has not been committed, or commits that. */
  void leave(boolean commits) {
    if (commits || published) {
      commit(); // what was published cannot be taken back
    }
    staged.forEach(Write::withdraw);
    forgetBatch();
    queue().close();
    queue = null;
  }

  /**
   * The engine is no more: what it had been given to enter, or was about to let in, may have
   * entered.
   */
  void cutOff() {
    Write half = handedOver;
    if (committing || published || half != null) { // which may have published, to make room
      staged.forEach(Write::begin);
    } else {
      staged.forEach(Write::withdraw);
    }
    if (half != null && half.zeros) {
      half.begin(); // part by part
    }
    waiting.forEach(Write::begin);
    waiting.clear();
    forgetBatch();
    outstandingBytes.set(0);
    queue = null;
    handedOver = null;
    committing = false;
  }

  private void forgetBatch() {
    staged.clear();
    used = 0;
    published = false;
    mode = null;
  }

  /** Any thread may complete it. Its state is guarded by the model's monitor. */
  private final class Write implements Completion {
    final HistoryModel model = world.model();
    final int number = model.number();
    final int sector;
    final int count;
    final boolean fua;
    final boolean zeros;
    boolean isDirect;

    /** What is answered survives a power cut, but for what a device may lose unflushed. */
    boolean lasts;

    volatile boolean isComplete;
    private boolean begun;
    private boolean ended;

    Write(int sector, int count, boolean fua, boolean zeros) {
      this.sector = sector;
      this.count = count;
      this.fua = fua;
      this.zeros = zeros;
    }

    long costBytes() {
      long bytes = (long) count * SECTOR;
      return zeros ? Math.max(bytes, ZEROS_COST_BYTES) : bytes;
    }

    void begin() {
      synchronized (model) {
        if (!begun) {
          begun = true;
          model.begin(number, sector, count, zeros);
        }
      }
    }

    private void end(boolean survives) {
      begin();
      if (!ended) {
        ended = true;
        model.end(number, sector, count, survives);
      } else if (survives) {
        model.keep(number, sector, count);
      }
    }

    /** It is in the trees, or on its way to the device, before its commit. */
    void publish() {
      synchronized (model) {
        begin();
        if (!isDirect) {
          end(false);
        }
      }
    }

    void withdraw() {
      synchronized (model) {
        if (begun && !ended) {
          ended = true;
          model.withdraw(number, sector, count);
        }
      }
      outstandingBytes.addAndGet(-costBytes());
    }

    @Override
    public void complete(int errno) {
      if (!world.hears()) {
        return;
      }
      synchronized (model) {
        world.require(!isComplete, "a write completed twice");
        waiting.remove(this);
        outstandingBytes.addAndGet(-costBytes());
        if (errno == 0) {
          end(lasts);
        } else {
          world.requireFailure(errno, "write");
          if (begun && !ended) {
            ended = true;
            model.fail(number, sector, count);
          }
        }
        isComplete = true;
      }
    }
  }
}
