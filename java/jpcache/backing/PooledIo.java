package jpcache.backing;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import jpcache.base.Posix;

/**
 * {@link RawIo} by threads that block in the kernel, one per call under way.
 *
 * <p>They are platform threads (a virtual one would pin its carrier in the call), daemons, started
 * when there is work and gone when there has been none for a while. Calls beyond their number wait
 * in an unbounded queue of small objects: a bounded one would have to block submitters, and those
 * are threads that have other clients' cache hits to serve.
 */
final class PooledIo implements RawIo {
  private static final long IDLE_SECONDS = 30;

  private final ThreadPoolExecutor threads;

  PooledIo(int threadCount) {
    threads =
        new ThreadPoolExecutor(
            threadCount,
            threadCount,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            Thread.ofPlatform().daemon().name("backing-", 0).factory());
    threads.allowCoreThreadTimeOut(true);
  }

  @Override
  public int depth() {
    return threads.getCorePoolSize();
  }

  @Override
  public void read(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(() -> done.ended((int) Posix.pread(fd, address, lengthBytes, offsetBytes)));
  }

  @Override
  public void write(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    submit(() -> done.ended((int) Posix.pwrite(fd, address, lengthBytes, offsetBytes)));
  }

  @Override
  public void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done) {
    submit(() -> done.ended(Posix.fallocate(fd, mode, offsetBytes, lengthBytes)));
  }

  @Override
  public void sync(int fd, Result done) {
    submit(() -> done.ended(Posix.fdatasync(fd)));
  }

  private void submit(Runnable call) {
    try {
      threads.execute(call);
    } catch (OutOfMemoryError e) {
      // The system gives us no more threads: those there are will have to do.
      if (threads.getPoolSize() == 0) {
        throw e;
      }
      threads.getQueue().add(call);
    }
  }

  @Override
  public void close() {
    threads.shutdown();
  }
}
