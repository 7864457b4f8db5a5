package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;

/** A client of a history's cache, with a queue and a batch that is not yet committed. */
final class HistoryClient {
  private static final int BUFFER_BYTES = 16 << 20;

  private final ModeHistory history;
  private final HistoryModel model;
  private final MemorySegment buffer;
  private final List<Write> staged = new ArrayList<>();
  private BlockQueue queue;
  private long used;

  /** What the cache's mode was when the batch began. */
  private CacheMode mode;

  /** Something of the batch is in the cache already, and cannot be taken back. */
  private boolean published;

  HistoryClient(ModeHistory history) {
    this.history = history;
    model = history.model();
    buffer = history.allocate(BUFFER_BYTES);
    queue = history.cache().openQueue();
    mode = history.mode();
  }

  BlockQueue queue() {
    return queue;
  }

  void write(int sector, int count, boolean fua) {
    long bytes = (long) count * SECTOR;
    if (used + bytes > BUFFER_BYTES) {
      commit();
    }
    if (used == 0 && staged.isEmpty() && !published) {
      mode = history.mode();
    }
    Write write = new Write(sector, count, model.number(), fua, isDirect(mode));
    SectorModel.fill(buffer, used, sector, count, write.number);
    int waiting = history.cache().backlog().size();
    history.outstanding(bytes);
    if (write.direct) {
      write.begin(); // it takes its place among those that overlap it
    }
    queue.write((long) sector * SECTOR, (int) bytes, buffer.address() + used, fua, write);
    used += bytes;
    history.counts().writtenBytes += bytes;
    if (history.cache().backlog().size() > waiting) {
      // The engine has published what this queue had staged: that came first.
      staged.forEach(Write::publish);
      published = true;
      write.waits = true;
      history.counts().waited++;
      if (history.changesModes()) {
        write.begin();
      }
    } else {
      staged.add(write);
      history.counts().directWrites += write.direct ? 1 : 0;
      history.require(write.direct || !write.completed, "a write completed before its commit");
    }
  }

  static boolean isDirect(CacheMode mode) {
    return mode == CacheMode.WRITE_THROUGH || mode == CacheMode.WRITE_AROUND;
  }

  void commit() {
    queue.commit();
    for (Write write : staged) {
      history.require(
          write.direct || write.completed, "a staged write is not complete after its commit");
    }
    clear();
  }

  private void clear() {
    staged.clear();
    used = 0;
    published = false;
  }

  /** Ends what the client does, committed or not. */
  void leave(boolean commits) {
    // What was published may survive, and the model takes it that way.
    if (commits || published) {
      commit();
    }
    staged.forEach(Write::abandon);
    clear();
    queue.close();
  }

  void comeBack() {
    queue = history.cache().openQueue();
    mode = history.mode();
  }

  /** Any thread may complete it. */
  private final class Write implements Completion {
    final int sector;
    final int count;
    final int number;
    final boolean fua;
    final boolean direct;
    volatile boolean completed;
    boolean waits;
    private boolean begun;
    private boolean ended;

    Write(int sector, int count, int number, boolean fua, boolean direct) {
      this.sector = sector;
      this.count = count;
      this.number = number;
      this.fua = fua;
      this.direct = direct;
    }

    void begin() {
      synchronized (model) {
        if (!begun) {
          begun = true;
          model.begin(number, sector, count);
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
        if (!direct) {
          end(false);
        }
      }
    }

    void abandon() {
      history.outstanding(-(long) count * SECTOR);
      synchronized (model) {
        if (begun && !ended) {
          ended = true;
          model.fail(number, sector, count);
        }
      }
    }

    @Override
    public void complete(int errno) {
      synchronized (model) {
        history.require(!completed, "a write completed twice");
        history.outstanding(-(long) count * SECTOR);
        if (errno == 0) {
          end(survives());
        } else {
          history.requireFailure(errno, "write");
          if (begun && !ended) {
            ended = true;
            model.fail(number, sector, count);
          }
        }
        completed = true;
      }
    }

    /** What is answered must survive a power cut: but for what a device may lose unflushed. */
    private boolean survives() {
      if (fua) {
        return true;
      }
      if (waits && history.changesModes()) {
        return false; // nobody knows in which mode it was served
      }
      return direct ? mode == CacheMode.WRITE_THROUGH : history.durability() == Durability.ACK;
    }
  }
}
