package jpcache.pmem;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import jpcache.base.CFunction;

/**
 * Makes the JVM deliver a memory fault where it can be caught.
 *
 * <p>A SIGBUS in a MemorySegment access becomes an {@link InternalError}, but an asynchronous one:
 * the access seems to succeed, and the error is thrown when the thread next passes a point that
 * allows it. The interpreter and C1 reach one soon enough, but code compiled by C2 leaves the
 * access's try block and even the whole method first, and whoever is further out gets the error.
 * The return from a native call is such a point in all of them, at 4 nanoseconds.
 */
final class MemoryFaults {
  /** A C function that does nothing; not critical, for then the thread would pass no such point. */
  private static final MethodHandle NOTHING =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("abs"),
              FunctionDescriptor.of(JAVA_INT, JAVA_INT));

  private MemoryFaults() {}

  /**
   * Throws the InternalError of a fault in an access that this thread made before this call.
   *
   * @param value what was read, if the compiler might otherwise leave out the reading of it
   */
  static void deliver(int value) {
    try {
      int ignored = (int) NOTHING.invokeExact(value);
    } catch (Throwable e) {
      throw CFunction.broken(e);
    }
  }
}
