package jpcache.fuzz;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Base64;
import java.util.concurrent.TimeUnit;
import jpcache.base.UserException;

/**
 * Feeds inputs to a target and holds it to its limits: no input may crash it, take it over 10 s, or
 * have it use over 256 MiB of memory.
 *
 * <p>The time is the processor's, so that a busy machine is no hang; what waits for ever meets the
 * timeout of the test, or Jazzer's. Of the heap all counts that is allocated, which is more than is
 * ever held; of native memory what is held ({@link NativeMemoryUse}), where the JVM counts it, as
 * in {@code ci/fuzz}: looked at after each input that was not quick, and every second.
 */
public final class Judge {
  private static final long LONGEST_NANOS = TimeUnit.SECONDS.toNanos(10);
  private static final long MOST_BYTES = 256L << 20;

  /** Nobody stores into that much native memory in less time. */
  private static final long QUICK_NANOS = TimeUnit.MILLISECONDS.toNanos(5);

  /** Of what inputs before have left to the collector; one that follows is not to blame for it. */
  private static final long MOST_LEFT_KIB = 32 << 10;

  private static final long LOOK_EVERY_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private final String name;
  private final FuzzTarget target;
  private final long limitNanos;
  private long longestNanos;
  private long mostBytes;
  private long nativeKib;
  private long lookedNanos;

  Judge(String name, FuzzTarget target) {
    this(name, target, LONGEST_NANOS);
  }

  Judge(String name, FuzzTarget target, long limitNanos) {
    this.name = name;
    this.target = target;
    this.limitNanos = limitNanos;
  }

  /**
   * Feeds one input.
   *
   * @throws AssertionError with the input in it, if the target does anything but read or refuse it
   */
  void feed(byte[] input) {
    long allocated = THREADS.getCurrentThreadAllocatedBytes();
    long start = THREADS.getCurrentThreadCpuTime();
    try {
      target.accept(input);
    } catch (Throwable e) {
      throw new AssertionError(name + ": an input ends in " + e + described(input), e);
    }
    long end = THREADS.getCurrentThreadCpuTime();
    longestNanos = Math.max(longestNanos, end - start);
    mostBytes = Math.max(mostBytes, THREADS.getCurrentThreadAllocatedBytes() - allocated);
    if (end - start > QUICK_NANOS || end - lookedNanos > LOOK_EVERY_NANOS) {
      lookAtNativeMemory();
      lookedNanos = end;
    }
    if (longestNanos > limitNanos || mostBytes > MOST_BYTES || nativeKib > MOST_BYTES >> 10) {
      throw new AssertionError(name + ": an input took " + worst() + described(input));
    }
  }

  private void lookAtNativeMemory() {
    NativeMemoryUse use = NativeMemoryUse.look();
    nativeKib = use.peakKib();
    if (use.nowKib() > MOST_LEFT_KIB) {
      System.gc();
    }
  }

  /** The most that any input took. */
  String worst() {
    return TimeUnit.NANOSECONDS.toMillis(longestNanos)
        + " ms, "
        + (mostBytes >> 10)
        + " KiB"
        + (nativeKib == 0 ? "" : ", " + nativeKib + " KiB of native memory");
  }

  private static String described(byte[] input) {
    return "; to repeat it, put into a file of tests/fuzz/regressions what this decodes to: "
        + Base64.getEncoder().encodeToString(input);
  }

  /** Runs what may refuse its input; that must be explained in one line. */
  public static boolean refuses(Runnable use) {
    try {
      use.run();
      return false;
    } catch (UserException e) {
      String message = String.valueOf(e.getMessage());
      if (message.isBlank() || message.indexOf('\n') >= 0) {
        throw new AssertionError("not one line: " + message, e);
      }
      return true;
    }
  }
}
