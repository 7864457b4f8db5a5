package jpcache.backing;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * A device made slow: every request takes a latency, so many are served side by side, and all share
 * one bandwidth.
 *
 * <pre>
 *   begin  = when the request came, or a place among the depth became free
 *   moved  = max(begin, when the transfer before it had moved) + length / bandwidth
 *   end    = moved + latency
 * </pre>
 *
 * Ends are in the order of the calls, so a request's end is known when it comes and a queue is all
 * that is needed. At its end a request is handed to the real device, which should be memory.
 *
 * <p>{@link #hold} stops the device: nothing ends until {@link #release}.
 */
public final class ThrottledBacking implements BackingDevice {
  private record Request(long endNanos, Runnable perform) {}

  private final BackingDevice device;
  private final long bytesPerSecond;
  private final long latencyNanos;

  /** When the last requests end, one for each place among the depth. */
  private final long[] placeFreeNanos;

  private int nextPlace;
  private long transferFreeNanos = System.nanoTime();
  private final Deque<Request> underWay = new ArrayDeque<>();
  private boolean held;
  private boolean closed;
  private final Thread thread;

  private final AtomicLong writtenBytes = new AtomicLong();

  public ThrottledBacking(BackingDevice device, long bytesPerSecond, long latencyNanos, int depth) {
    this.device = device;
    this.bytesPerSecond = bytesPerSecond;
    this.latencyNanos = latencyNanos;
    placeFreeNanos = new long[depth];
    Arrays.fill(placeFreeNanos, transferFreeNanos);
    thread = Thread.ofPlatform().daemon().name("slow-device").start(this::run);
  }

  /** Nothing that has not ended yet does. */
  public synchronized void hold() {
    held = true;
  }

  /** Goes on. */
  public void release() {
    synchronized (this) {
      held = false;
    }
    LockSupport.unpark(thread);
  }

  /** How many requests have not ended. */
  public synchronized int requestsUnderWay() {
    return underWay.size();
  }

  /** How many bytes have been written. */
  public long writtenBytes() {
    return writtenBytes.get();
  }

  @Override
  public int queueDepth() {
    return placeFreeNanos.length;
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    submit(lengthBytes, () -> device.read(offsetBytes, lengthBytes, address, done), done);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    submit(
        lengthBytes,
        () -> {
          writtenBytes.addAndGet(lengthBytes);
          device.write(offsetBytes, lengthBytes, address, done);
        },
        done);
  }

  /** Takes the latency and no bandwidth. */
  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    submit(0, () -> device.zero(offsetBytes, lengthBytes, unmap, done), done);
  }

  @Override
  public void flush(Completion done) {
    submit(0, () -> device.flush(done), done);
  }

  private void submit(int lengthBytes, Runnable perform, Completion done) {
    synchronized (this) {
      if (!closed) {
        long begin = Math.max(System.nanoTime(), placeFreeNanos[nextPlace]);
        long moving = Math.max(begin, transferFreeNanos);
        transferFreeNanos = moving + lengthBytes * 1_000_000_000L / bytesPerSecond;
        long end = transferFreeNanos + latencyNanos;
        placeFreeNanos[nextPlace] = end;
        nextPlace = (nextPlace + 1) % placeFreeNanos.length;
        underWay.add(new Request(end, perform));
        if (underWay.size() == 1) {
          LockSupport.unpark(thread);
        }
        return;
      }
    }
    done.complete(Errno.ESHUTDOWN);
  }

  private void run() {
    while (true) {
      Request due = null;
      long sleepNanos = Long.MAX_VALUE;
      synchronized (this) {
        Request next = underWay.peek();
        if (next == null && closed) {
          return;
        }
        if (next != null && !held) {
          sleepNanos = next.endNanos - System.nanoTime();
          due = sleepNanos <= 0 ? underWay.poll() : null;
        }
      }
      if (due != null) {
        due.perform.run();
      } else {
        LockSupport.parkNanos(sleepNanos);
      }
    }
  }

  @Override
  public String name() {
    return device.name();
  }

  @Override
  public long sizeBytes() {
    return device.sizeBytes();
  }

  @Override
  public int blockBytes() {
    return device.blockBytes();
  }

  @Override
  public int directAlignmentBytes() {
    return device.directAlignmentBytes();
  }

  @Override
  public int preferredBlockBytes() {
    return device.preferredBlockBytes();
  }

  @Override
  public boolean readOnly() {
    return device.readOnly();
  }

  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      held = false;
    }
    LockSupport.unpark(thread);
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    device.close();
  }
}
