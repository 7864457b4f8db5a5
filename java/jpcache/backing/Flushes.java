package jpcache.backing;

import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * Flushes of one device: at most one fdatasync is under way, and all that are asked for meanwhile
 * share the next (which begins after each of them was asked for, so it covers what they must).
 *
 * <p>The kernel reports a write-back error to one fdatasync and then forgets it. So a failure is
 * told to those who share it and also to those who wait for the next, which would succeed over
 * their lost data.
 *
 * <p>Once a flush has been taken nothing of this needs memory, the lists included: others than who
 * asked for it could not be told.
 */
final class Flushes implements RawIo.Result {
  private final RawIo io;
  private final int fd;

  /** Guards the lists and {@code busy}; held for no call out. */
  private final Object lock = new Object();

  private final Asked running = new Asked();
  private final Asked waiting = new Asked();
  private boolean busy;

  /** One that is to be told, and who comes behind it. */
  private static final class Flush {
    private final Completion done;
    private @Nullable Flush next;

    Flush(Completion done) {
      this.done = done;
    }
  }

  /** Flushes in the order they were asked for. */
  private static final class Asked {
    private @Nullable Flush first;
    private @Nullable Flush last;

    /** Adds a flush, or the first of several. */
    void add(Flush from, Flush to) {
      if (last == null) {
        first = from;
      } else {
        last.next = from;
      }
      last = to;
    }

    void addAll(Asked others) {
      if (others.first != null && others.last != null) {
        add(others.first, others.last);
      }
      others.clear();
    }

    void clear() {
      first = null;
      last = null;
    }
  }

  Flushes(RawIo io, int fd) {
    this.io = io;
    this.fd = fd;
  }

  void flush(Completion done) {
    Flush asked;
    try {
      asked = new Flush(done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    synchronized (lock) {
      waiting.add(asked, asked);
      if (busy) {
        return;
      }
      startNext();
    }
    sync();
  }

  private void startNext() {
    running.addAll(waiting);
    busy = true;
  }

  private void sync() {
    try {
      io.sync(fd, this);
    } catch (OutOfMemoryError e) {
      ended(-Errno.ENOMEM);
    }
  }

  @Override
  public void ended(int result) {
    if (result == -Errno.EINTR) {
      sync();
      return;
    }
    Flush told;
    boolean next;
    synchronized (lock) {
      if (result < 0) {
        running.addAll(waiting);
      }
      told = running.first;
      running.clear();
      busy = waiting.first != null;
      if (busy) {
        startNext();
      }
      next = busy;
    }
    if (next) {
      sync();
    }
    int errno = Math.max(0, -result);
    for (Flush flush = told; flush != null; flush = flush.next) {
      flush.done.complete(errno);
    }
  }
}
