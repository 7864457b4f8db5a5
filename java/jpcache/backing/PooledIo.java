package jpcache.backing;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;
import jpcache.base.Errno;
import jpcache.base.Posix;

/**
 * {@link RawIo} by threads that block in the kernel, one per call under way.
 *
 * <p>They are platform threads (a virtual one would pin its carrier in the call), daemons. The
 * first is there from the beginning, the others are started when there is work, and all of them
 * stay: a system that gives us no more threads then leaves us slow, but working. Calls beyond their
 * number wait in an unbounded queue of small objects: a bounded one would have to block submitters,
 * and those are threads that have other clients' cache hits to serve.
 */
final class PooledIo implements RawIo {
  private final ThreadPoolExecutor threads;

  PooledIo(int threadCount) {
    this(threadCount, Thread.ofPlatform().daemon().name("backing-", 0).factory());
  }

  PooledIo(int threadCount, ThreadFactory factory) {
    threads =
        new ThreadPoolExecutor(
            threadCount, threadCount, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), factory);
    threads.prestartCoreThread();
  }

  @Override
  public int depth() {
    return threads.getCorePoolSize();
  }

  @Override
  public void read(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(() -> (int) Posix.pread(fd, address, lengthBytes, offsetBytes), done);
  }

  @Override
  public void write(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(() -> (int) Posix.pwrite(fd, address, lengthBytes, offsetBytes), done);
  }

  @Override
  public void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done) {
    submit(() -> Posix.fallocate(fd, mode, offsetBytes, lengthBytes), done);
  }

  @Override
  public void sync(int fd, Result done) {
    submit(() -> Posix.fdatasync(fd), done);
  }

  private void submit(IntSupplier call, Result done) {
    Runnable task = () -> run(call, done);
    try {
      threads.execute(task);
    } catch (OutOfMemoryError e) {
      // The system gives us no more threads: those there are will have to do.
      threads.getQueue().add(task);
    }
  }

  /** Throws nothing: a thread that ends might be one that we get no other for. */
  private static void run(IntSupplier call, Result done) {
    int result;
    try {
      result = call.getAsInt();
    } catch (OutOfMemoryError e) {
      result = -Errno.ENOMEM; // before it has reached the kernel
    }
    try {
      done.ended(result);
    } catch (Throwable e) {
      Mishaps.log("the pool", "a completion threw", e);
    }
  }

  @Override
  public void close() {
    threads.shutdown();
  }
}
