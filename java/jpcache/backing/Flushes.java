package jpcache.backing;

import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * Flushes of one device: at most one fdatasync is under way, and all that are asked for meanwhile
 * share the next (which begins after each of them was asked for, so it covers what they must).
 *
 * <p>The kernel reports a write-back error to one fdatasync and then forgets it. So a failure is
 * told to those who share it and also to those who wait for the next, which would succeed over
 * their lost data.
 */
final class Flushes implements RawIo.Result {
  private final RawIo io;
  private final int fd;

  /** Guards the lists and {@code busy}; held for no call out. */
  private final Object lock = new Object();

  private List<Completion> running = new ArrayList<>();
  private List<Completion> waiting = new ArrayList<>();
  private boolean busy;

  Flushes(RawIo io, int fd) {
    this.io = io;
    this.fd = fd;
  }

  void flush(Completion done) {
    synchronized (lock) {
      waiting.add(done);
      if (busy) {
        return;
      }
      startNext();
    }
    io.sync(fd, this);
  }

  private void startNext() {
    running = waiting;
    waiting = new ArrayList<>();
    busy = true;
  }

  @Override
  public void ended(int result) {
    if (result == -Errno.EINTR) {
      io.sync(fd, this);
      return;
    }
    List<Completion> told;
    boolean next;
    synchronized (lock) {
      told = running;
      if (result < 0) {
        told.addAll(waiting);
        waiting.clear();
      }
      next = !waiting.isEmpty();
      if (next) {
        startNext();
      } else {
        busy = false;
        running = new ArrayList<>();
      }
    }
    if (next) {
      io.sync(fd, this);
    }
    int errno = Math.max(0, -result);
    for (Completion done : told) {
      done.complete(errno);
    }
  }
}
