package jpcache.base;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * A C function of at most six integers or addresses that reports failure by -1 and {@code errno}.
 *
 * <p>The linker makes a dozen classes for each shape of function, which would be most of what a
 * start takes. So all are of one shape, six longs, whatever they take: the calling conventions of
 * Linux on x86-64 and AArch64 put each of the first six integers in a register of its own, variable
 * arguments too, and a function does not look at upper halves and registers that it has no
 * parameter for.
 *
 * <p>Keep functions in {@code static final} fields: only then does the JIT inline their handles.
 *
 * @param handle takes where errno goes and six longs, and returns a long
 * @param returnsInt whether only the lower half of what it returns counts
 */
public record CFunction(MethodHandle handle, boolean returnsInt) {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final Linker.Option CAPTURES_ERRNO = Linker.Option.captureCallState("errno");
  private static final StructLayout STATE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final FunctionDescriptor SIX_LONGS =
      FunctionDescriptor.of(LONG, LONG, LONG, LONG, LONG, LONG, LONG);

  private static final ThreadLocal<MemorySegment> STATE_OF_THREAD =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));

  /** A function of the C library that returns an int. */
  public static CFunction returningInt(String name) {
    return returningInt(address(name));
  }

  /** A function of the C library that returns a long or an address. */
  public static CFunction returningLong(String name) {
    return returningLong(address(name));
  }

  /** The function at an address, which returns an int. */
  public static CFunction returningInt(MemorySegment address) {
    return new CFunction(LINKER.downcallHandle(address, SIX_LONGS, CAPTURES_ERRNO), true);
  }

  /** The function at an address, which returns a long or an address. */
  public static CFunction returningLong(MemorySegment address) {
    return new CFunction(LINKER.downcallHandle(address, SIX_LONGS, CAPTURES_ERRNO), false);
  }

  private static MemorySegment address(String name) {
    return LINKER.defaultLookup().findOrThrow(name);
  }

  /** Calls it: its result, or {@code -errno} if that is -1. */
  public long call(long a, long b, long c, long d, long e, long f) {
    try {
      MemorySegment state = STATE_OF_THREAD.get();
      long whole = (long) handle.invokeExact(state, a, b, c, d, e, f);
      long result = returnsInt ? (int) whole : whole;
      return result == -1 ? -(int) ERRNO.get(state, 0L) : result;
    } catch (Throwable failure) {
      throw broken(failure);
    }
  }

  public long call(long a, long b, long c, long d, long e) {
    return call(a, b, c, d, e, 0);
  }

  public long call(long a, long b, long c, long d) {
    return call(a, b, c, d, 0, 0);
  }

  public long call(long a, long b, long c) {
    return call(a, b, c, 0, 0, 0);
  }

  public long call(long a, long b) {
    return call(a, b, 0, 0, 0, 0);
  }

  public long call(long a) {
    return call(a, 0, 0, 0, 0, 0);
  }

  public long call() {
    return call(0, 0, 0, 0, 0, 0);
  }

  /** A call itself failed, which only a mistake in its descriptor can cause. */
  public static AssertionError broken(Throwable cause) {
    if (cause instanceof Error error) {
      throw error; // InternalError of a SIGBUS and the like keep their type
    }
    return new AssertionError("native call failed", cause);
  }
}
