package jpcache.cli;

import java.util.concurrent.CountDownLatch;

/**
 * SIGTERM, SIGINT and {@link #ask} as the orderly end of a command.
 *
 * <p>They arrive as the JVM's shutdown. Its hook wakes the command, waits until that has cleaned up
 * and closed this, and ends the process with code 0; by itself the JVM would report the signal.
 */
final class StopSignal implements AutoCloseable {
  private final CountDownLatch asked = new CountDownLatch(1);
  private final CountDownLatch cleanedUp = new CountDownLatch(1);
  private final Thread hook = new Thread(this::endProcess, "stop");
  private volatile int exitCode = 1;

  StopSignal() {
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Returns when the process is asked to end. */
  void await() {
    try {
      asked.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Asks the process to end, as the signals do. */
  void ask() {
    asked.countDown();
  }

  /** The command has done what it was asked, and nothing of it went wrong. */
  void succeeded() {
    exitCode = 0;
  }

  private void endProcess() {
    asked.countDown();
    try {
      cleanedUp.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    Runtime.getRuntime().halt(exitCode);
  }

  /** The command has cleaned up; without a signal the process ends as it would have. */
  @Override
  public void close() {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      cleanedUp.countDown(); // the hook is running
    }
  }
}
