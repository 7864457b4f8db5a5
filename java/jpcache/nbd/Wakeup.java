package jpcache.nbd;

import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * Wakes a thread that sleeps in poll(2). Many raises before the thread looks are one.
 *
 * <p>The thread calls {@link #clear} first and then looks for what it was woken for: what was done
 * before a raise is seen then, or raises again.
 */
final class Wakeup implements AutoCloseable {
  private final int fd;
  private final AtomicBoolean raised = new AtomicBoolean();

  /** Opens it; a process without descriptors left cannot. */
  Wakeup() {
    fd = Posix.eventfd();
    if (fd < 0) {
      throw new UserException("eventfd: " + Errno.text(-fd));
    }
  }

  /** For struct pollfd. */
  int fd() {
    return fd;
  }

  /** From any thread, as long as nobody closes. */
  void raise() {
    if (raised.compareAndSet(false, true)) {
      Posix.raiseEvent(fd);
    }
  }

  boolean isRaised() {
    return raised.get();
  }

  /** By the thread that sleeps; {@code scratch} is 8 bytes of its own. */
  void clear(long scratch) {
    // Always read: the write of a raise may come after an earlier clear has taken its flag.
    Posix.clearEvent(fd, scratch);
    raised.set(false);
  }

  @Override
  public void close() {
    Posix.close(fd);
  }
}
