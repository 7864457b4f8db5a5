package jpcache.backing;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import jpcache.base.Errno;
import jpcache.base.Posix;
import org.jspecify.annotations.Nullable;

/**
 * {@link RawIo} by io_uring: one thread hands the kernel all that has come since it last looked,
 * and takes all that has ended, in one call.
 *
 * <pre>
 *   any thread                    the ring's thread
 *   ----------                    -----------------
 *   waiting.add(request)   ---&gt;   waiting to slots, entries to the ring
 *   eventfd, if it sleeps         io_uring_enter: submit all, wait for one
 *                                 completions: free the slot, tell the caller
 * </pre>
 *
 * <p>The kernel has at most as many requests at once as there are slots; those beyond wait in an
 * unbounded queue, for the reason that {@link PooledIo} gives. What a caller does when it is told
 * delays the others, so it is to be short; what it submits then goes out with the next call.
 *
 * <p>Want of memory may fail a submission, which then is the submitter's to tell. It must not end
 * the ring's thread, nor lose what waits for it: others would wait for ever.
 */
final class UringIo implements RawIo {
  private static final Logger LOG = System.getLogger(UringIo.class.getName());

  /** Less than it costs to sleep and be woken. */
  private static final long FOLLOWERS_NANOS = 20_000;

  /** User data of the entry that watches the eventfd; others have their slot's number. */
  private static final long WAKE = -1;

  private final int wakeFd;
  private final int slotCount;
  private final Thread thread;

  /** Guards the fields below it. */
  private final Object lock = new Object();

  // What waits, in the order it came: a list that takes no memory but the request's own.
  private @Nullable Request firstWaiting;
  private @Nullable Request lastWaiting;

  /** How many wait, to be looked at without the lock. */
  private volatile int waitingCount;

  /** The ring's thread is in the kernel, or about to be, and has seen all that waits. */
  private boolean asleep;

  private boolean closed;

  /** What is to be done; the meaning of the numbers is the opcode's. */
  private static final class Request {
    final int opcode;
    final int fd;
    final long offset;
    final long address;
    final int length;
    final int opFlags;
    final Result done;

    /** Which one waits behind it; guarded by the lock. */
    @Nullable Request next;

    Request(int opcode, int fd, long offset, long address, int length, int opFlags, Result done) {
      this.opcode = opcode;
      this.fd = fd;
      this.offset = offset;
      this.address = address;
      this.length = length;
      this.opFlags = opFlags;
      this.done = done;
    }
  }

  private UringIo(int wakeFd, int slots, CompletableFuture<Void> opened) {
    this.wakeFd = wakeFd;
    this.slotCount = slots;
    thread =
        Thread.ofPlatform().daemon().name("backing-ring").unstarted(() -> serve(slots, opened));
  }

  /**
   * Starts a ring.
   *
   * @param slots how many requests the kernel is given at once
   * @throws Ring.UnavailableException if there is no io_uring to be had
   */
  static UringIo start(int slots) throws Ring.UnavailableException {
    int wakeFd = Posix.eventfd();
    if (wakeFd < 0) {
      throw new Ring.UnavailableException("eventfd: " + Errno.text(-wakeFd));
    }
    CompletableFuture<Void> opened = new CompletableFuture<>();
    UringIo io = new UringIo(wakeFd, slots, opened);
    io.thread.start();
    try {
      opened.join();
    } catch (CompletionException e) {
      Posix.close(wakeFd);
      if (e.getCause() instanceof Ring.UnavailableException unavailable) {
        throw unavailable;
      }
      throw e;
    }
    return io;
  }

  @Override
  public int depth() {
    return slotCount;
  }

  @Override
  public void read(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(new Request(Ring.OP_READ, fd, offsetBytes, address, lengthBytes, 0, done));
  }

  @Override
  public void write(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(new Request(Ring.OP_WRITE, fd, offsetBytes, address, lengthBytes, 0, done));
  }

  /** The entry has the length where others have the address, and the mode for a length. */
  @Override
  public void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done) {
    submit(new Request(Ring.OP_FALLOCATE, fd, offsetBytes, lengthBytes, mode, 0, done));
  }

  @Override
  public void sync(int fd, Result done) {
    submit(new Request(Ring.OP_FSYNC, fd, 0, 0, 0, Ring.FSYNC_DATASYNC, done));
  }

  private void submit(Request request) {
    synchronized (lock) {
      if (asleep) {
        Posix.raiseEvent(wakeFd); // with the lock held: the ring's thread closes it
        asleep = false;
      }
      if (lastWaiting == null) {
        firstWaiting = request;
      } else {
        lastWaiting.next = request;
      }
      lastWaiting = request;
      waitingCount++;
    }
  }

  @Override
  public void close() {
    synchronized (lock) {
      closed = true;
      Posix.raiseEvent(wakeFd);
    }
  }

  // ---- the ring's thread ----

  private void serve(int slots, CompletableFuture<Void> opened) {
    Ring ring;
    try {
      // One entry more, for the watch on the eventfd; the kernel rounds up to a power of two.
      ring = Ring.open(2 * slots);
    } catch (Ring.UnavailableException | RuntimeException | Error e) {
      opened.completeExceptionally(e);
      return;
    }
    opened.complete(null);
    try (ring;
        Arena arena = Arena.ofConfined()) {
      new Loop(ring, slots, arena.allocate(Long.BYTES, Long.BYTES).address()).run();
    } finally {
      Posix.close(wakeFd);
    }
  }

  /** What only the ring's thread sees. */
  private final class Loop {
    private final Ring ring;
    private final long scratch;
    private final @Nullable Request[] slots;
    private final int[] freeSlots;
    private int free;
    private boolean watching;

    Loop(Ring ring, int slotCount, long scratch) {
      this.ring = ring;
      this.scratch = scratch;
      slots = new Request[slotCount];
      freeSlots = new int[slotCount];
      for (int slot = 0; slot < slotCount; slot++) {
        freeSlots[free++] = slot;
      }
    }

    void run() {
      boolean over = false;
      while (!over) {
        try {
          over = turn();
        } catch (Throwable e) { // want of memory; what has not been done is done in the next turn
          Mishaps.log("io_uring", "its thread goes on after this", e);
        }
      }
    }

    /**
     * Hands over what waits and tells of what has ended.
     *
     * @return whether all is done and nothing may come any more
     */
    private boolean turn() {
      if (!watching) {
        ring.add(Ring.OP_POLL_ADD, wakeFd, 0, 0, 0, Ring.POLLIN, WAKE);
        watching = true;
      }
      if (takeWaiting()) {
        return true;
      }
      int result = ring.enter(!ring.hasCompletion());
      synchronized (lock) {
        asleep = false;
      }
      // EAGAIN, EBUSY: the kernel is short of memory, or wants its completions taken first.
      if (result < 0
          && result != -Errno.EINTR
          && result != -Errno.EAGAIN
          && result != -Errno.EBUSY) {
        LOG.log(Level.ERROR, "io_uring_enter: {0}", Errno.text(-result));
      }
      boolean told = false;
      while (ring.hasCompletion()) {
        long userData = ring.userData();
        int ended = ring.takeResult();
        if (userData == WAKE) {
          watching = false; // first: a counter that is not cleared ends the next watch at once
          Posix.clearEvent(wakeFd, scratch);
        } else {
          end((int) userData, ended);
          told = true;
        }
      }
      if (told) {
        awaitFollowers();
      }
      return false;
    }

    /**
     * Who is told that requests have ended often has the next ones ready, in a moment. Meanwhile
     * others may end, and those who wait for them come first.
     */
    private void awaitFollowers() {
      long start = System.nanoTime();
      while (waitingCount == 0 && !ring.hasWork() && System.nanoTime() - start < FOLLOWERS_NANOS) {
        Thread.onSpinWait();
      }
    }

    /**
     * Writes entries for what waits, as far as there are slots.
     *
     * @return whether all is done and nothing may come any more
     */
    private boolean takeWaiting() {
      synchronized (lock) {
        while (free > 0 && ring.hasRoom()) {
          Request request = firstWaiting;
          if (request == null) {
            asleep = true;
            return closed && free == slots.length;
          }
          int slot = freeSlots[free - 1];
          ring.add(
              request.opcode,
              request.fd,
              request.offset,
              request.address,
              request.length,
              request.opFlags,
              slot);
          slots[slot] = request; // the entry stands, and nothing from here on needs memory
          free--;
          firstWaiting = request.next;
          lastWaiting = firstWaiting == null ? null : lastWaiting;
          waitingCount--;
        }
        return false; // completions will bring it back here: nobody needs to wake it
      }
    }

    private void end(int slot, int result) {
      Request request = slots[slot];
      if (request == null) {
        throw new IllegalStateException("io_uring: completion of slot " + slot + ", which is free");
      }
      slots[slot] = null;
      freeSlots[free++] = slot;
      try {
        request.done.ended(result);
      } catch (Throwable e) {
        Mishaps.log("io_uring", "a completion threw", e);
      }
    }
  }
}
