package jpcache.cli;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import jpcache.cache.Cache;

/** The thread that steps a cache's {@link jpcache.cache.Maintenance}. */
final class MaintenanceThread {
  private static final Logger LOG = System.getLogger(MaintenanceThread.class.getName());

  /** After a step that failed for a reason that nobody foresaw. */
  private static final long PAUSE_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** Whoever fills the cache slowly wakes nobody: look at how much is dirty once in a while. */
  private static final long MAX_SLEEP_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final Cache cache;
  private final Thread thread;
  private volatile boolean stopping;

  private MaintenanceThread(Cache cache) {
    this.cache = cache;
    thread = Thread.ofPlatform().daemon().name("maintenance").unstarted(this::run);
  }

  static MaintenanceThread start(Cache cache) {
    MaintenanceThread started = of(cache);
    started.begin();
    return started;
  }

  /** One that does nothing until {@link #begin}. */
  static MaintenanceThread of(Cache cache) {
    MaintenanceThread made = new MaintenanceThread(cache);
    cache.setWakeUp(() -> LockSupport.unpark(made.thread));
    return made;
  }

  void begin() {
    thread.start();
  }

  private void run() {
    while (!stopping) {
      long pauseNanos;
      try {
        pauseNanos = cache.maintenance().step(System.nanoTime());
      } catch (RuntimeException | Error e) { // whatever it is: dirty data must not stay for ever
        LOG.log(Level.ERROR, "write-back or garbage collection failed, trying again", e);
        pauseNanos = PAUSE_NANOS;
      }
      if (pauseNanos > 0 && !stopping) {
        LockSupport.parkNanos(Math.min(pauseNanos, MAX_SLEEP_NANOS));
      }
    }
  }

  /**
   * Stops after the step under way, if it has begun.
   *
   * @return false if that has not ended in time: the devices are still in use
   */
  boolean stop(long timeoutMs) {
    stopping = true;
    LockSupport.unpark(thread);
    try {
      thread.join(timeoutMs);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return !thread.isAlive();
  }
}
