package jpcache.base;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * Handles to C library functions that report failure by -1 and {@code errno}.
 *
 * <p>A handle's first argument is the calling thread's {@link #errnoState}; after a call that
 * failed, {@link #errno} reads the number out of it. Keep handles in {@code static final} fields:
 * only then does the JIT inline them.
 */
public final class Downcalls {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout STATE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private static final ThreadLocal<MemorySegment> STATE_OF_THREAD =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));

  private Downcalls() {}

  /** A function of the C library whose errno is captured. */
  public static MethodHandle withErrno(String name, FunctionDescriptor descriptor) {
    return link(name, descriptor, Linker.Option.captureCallState("errno"));
  }

  /** A variadic function whose arguments from {@code firstVariadic} on are the variable ones. */
  public static MethodHandle variadicWithErrno(
      String name, int firstVariadic, FunctionDescriptor descriptor) {
    return link(
        name,
        descriptor,
        Linker.Option.firstVariadicArg(firstVariadic),
        Linker.Option.captureCallState("errno"));
  }

  /** A function of the C library that has no errno. */
  public static MethodHandle plain(String name, FunctionDescriptor descriptor) {
    return link(name, descriptor);
  }

  /**
   * The linker makes a dozen classes for each shape of function, which is most of what a start of
   * the JVM takes if there are many. So all are of the shape that has longs alone, which the
   * calling conventions of x86-64 and AArch64 allow: an int goes in a register of its own, whose
   * upper half nobody looks at.
   */
  private static MethodHandle link(
      String name, FunctionDescriptor descriptor, Linker.Option... options) {
    MemoryLayout[] longs = new MemoryLayout[descriptor.argumentLayouts().size()];
    Arrays.fill(longs, LONG);
    MethodHandle linked =
        LINKER.downcallHandle(address(name), FunctionDescriptor.of(LONG, longs), options);
    MethodType own = descriptor.toMethodType();
    int leading = linked.type().parameterCount() - own.parameterCount();
    return MethodHandles.explicitCastArguments(
        linked, own.insertParameterTypes(0, linked.type().parameterList().subList(0, leading)));
  }

  /** Where this thread's calls leave errno. */
  public static MemorySegment errnoState() {
    return STATE_OF_THREAD.get();
  }

  /** What the last failed call of this thread left. */
  public static int errno(MemorySegment state) {
    return (int) ERRNO.get(state, 0L);
  }

  /** The result if it is not -1, otherwise errno with its sign changed. */
  public static int orNegativeErrno(int result, MemorySegment state) {
    return result == -1 ? -errno(state) : result;
  }

  /** The result if it is not -1, otherwise errno with its sign changed. */
  public static long orNegativeErrno(long result, MemorySegment state) {
    return result == -1 ? -errno(state) : result;
  }

  /** A call itself failed, which only a mistake in its descriptor can cause. */
  public static AssertionError broken(Throwable cause) {
    if (cause instanceof Error error) {
      throw error; // InternalError of a SIGBUS and the like keep their type
    }
    return new AssertionError("native call failed", cause);
  }

  private static MemorySegment address(String name) {
    return LINKER.defaultLookup().findOrThrow(name);
  }

  /** Shorthands for descriptors. */
  public static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

  public static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
}
