package jpcache.base;

import static jpcache.base.Downcalls.INT;
import static jpcache.base.Downcalls.LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The processors that a thread may run on, as a thread had them at some time. Threads that are
 * started get those of the thread that starts them.
 */
public final class Affinity {
  /** Room for more processors than any Linux has; the kernel wants it for all that are possible. */
  private static final int BYTES = 1024;

  private static final MethodHandle GET =
      Downcalls.withErrno("sched_getaffinity", FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle SET =
      Downcalls.withErrno("sched_setaffinity", FunctionDescriptor.of(INT, INT, LONG, LONG));

  private final MemorySegment mask;

  private Affinity(MemorySegment mask) {
    this.mask = mask;
  }

  /** Those of the calling thread; none if the system does not tell. */
  public static Affinity ofThisThread() {
    MemorySegment mask = Arena.ofAuto().allocate(BYTES, Long.BYTES);
    try {
      MemorySegment state = Downcalls.errnoState();
      int result = (int) GET.invokeExact(state, 0, (long) BYTES, mask.address());
      return new Affinity(result == 0 ? mask : mask.fill((byte) 0));
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  /** Whether a processor is among them. */
  public boolean includes(int processor) {
    return processor >= 0
        && processor < 8 * BYTES
        && (mask.get(ValueLayout.JAVA_BYTE, processor >> 3) >> (processor & 7) & 1) != 0;
  }

  /** Has the calling thread run on these; false if the system refuses. */
  public boolean apply() {
    return set(mask);
  }

  /** Has the calling thread run on this one alone; false if it is none of these, or refused. */
  public boolean applyOnly(int processor) {
    if (!includes(processor)) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment one = arena.allocate(BYTES, Long.BYTES);
      one.set(ValueLayout.JAVA_BYTE, processor >> 3, (byte) (1 << (processor & 7)));
      return set(one);
    }
  }

  private static boolean set(MemorySegment mask) {
    try {
      MemorySegment state = Downcalls.errnoState();
      return (int) SET.invokeExact(state, 0, (long) BYTES, mask.address()) == 0;
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }
}
