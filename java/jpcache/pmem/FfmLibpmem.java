package jpcache.pmem;

import static jpcache.base.Downcalls.INT;
import static jpcache.base.Downcalls.LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import jpcache.base.Downcalls;

/**
 * libpmem through the JDK's foreign function interface.
 *
 * <p>The calls of the hot path are <em>critical</em>: the thread stays in Java's state, which saves
 * the transition (a nanosecond of four) but holds up safepoints for as long as the call takes. So
 * one such call writes at most {@link #CRITICAL_BYTES}, some 3 microseconds of work.
 *
 * <p>The library must be loadable before this class is touched ({@link PmemBinding#load}).
 */
final class FfmLibpmem implements Libpmem {
  /** What one critical call may copy or flush. */
  static final long CRITICAL_BYTES = 64 << 10;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final SymbolLookup LIBRARY = SymbolLookup.libraryLookup(SONAME, Arena.global());

  private static final MethodHandle MAP_FILE =
      blocking("pmem_map_file", FunctionDescriptor.of(LONG, LONG, LONG, INT, INT, LONG, LONG));
  private static final MethodHandle UNMAP =
      withErrno("pmem_unmap", FunctionDescriptor.of(INT, LONG, LONG));
  private static final MethodHandle IS_PMEM =
      blocking("pmem_is_pmem", FunctionDescriptor.of(INT, LONG, LONG));
  private static final MethodHandle MSYNC =
      withErrno("pmem_msync", FunctionDescriptor.of(INT, LONG, LONG));
  private static final MethodHandle ERRORMSG =
      blocking("pmem_errormsg", FunctionDescriptor.of(LONG));

  private static final MethodHandle MEMCPY_PERSIST =
      critical("pmem_memcpy_persist", FunctionDescriptor.ofVoid(LONG, LONG, LONG));
  private static final MethodHandle MEMCPY_NODRAIN =
      critical("pmem_memcpy_nodrain", FunctionDescriptor.ofVoid(LONG, LONG, LONG));
  private static final MethodHandle FLUSH =
      critical("pmem_flush", FunctionDescriptor.ofVoid(LONG, LONG));
  private static final MethodHandle DRAIN = critical("pmem_drain", FunctionDescriptor.ofVoid());

  private static MethodHandle blocking(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(LIBRARY.findOrThrow(name), descriptor);
  }

  private static MethodHandle withErrno(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(
        LIBRARY.findOrThrow(name), descriptor, Linker.Option.captureCallState("errno"));
  }

  private static MethodHandle critical(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(
        LIBRARY.findOrThrow(name), descriptor, Linker.Option.critical(false));
  }

  @Override
  public PmemBinding binding() {
    return PmemBinding.FFM;
  }

  @Override
  public long mapFile(
      long path, long lengthBytes, int flags, int mode, long mappedLength, long isPmem) {
    try {
      return (long) MAP_FILE.invokeExact(path, lengthBytes, flags, mode, mappedLength, isPmem);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public int unmap(long address, long lengthBytes) {
    try {
      var state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) UNMAP.invokeExact(state, address, lengthBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public boolean isPmem(long address, long lengthBytes) {
    try {
      return (int) IS_PMEM.invokeExact(address, lengthBytes) != 0;
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public void memcpyPersist(long to, long from, long lengthBytes) {
    if (lengthBytes > CRITICAL_BYTES) {
      memcpyNodrain(to, from, lengthBytes);
      drain();
      return;
    }
    try {
      MEMCPY_PERSIST.invokeExact(to, from, lengthBytes);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public void memcpyNodrain(long to, long from, long lengthBytes) {
    try {
      long done = 0;
      for (; lengthBytes - done > CRITICAL_BYTES; done += CRITICAL_BYTES) {
        MEMCPY_NODRAIN.invokeExact(to + done, from + done, CRITICAL_BYTES);
      }
      MEMCPY_NODRAIN.invokeExact(to + done, from + done, lengthBytes - done);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public void flush(long address, long lengthBytes) {
    try {
      long done = 0;
      for (; lengthBytes - done > CRITICAL_BYTES; done += CRITICAL_BYTES) {
        FLUSH.invokeExact(address + done, CRITICAL_BYTES);
      }
      FLUSH.invokeExact(address + done, lengthBytes - done);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public void drain() {
    try {
      DRAIN.invokeExact();
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public void persist(long address, long lengthBytes) {
    flush(address, lengthBytes);
    drain();
  }

  @Override
  public int msync(long address, long lengthBytes) {
    try {
      var state = Downcalls.errnoState();
      return Downcalls.orNegativeErrno((int) MSYNC.invokeExact(state, address, lengthBytes), state);
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }

  @Override
  public long errormsg() {
    try {
      return (long) ERRORMSG.invokeExact();
    } catch (Throwable e) {
      throw Downcalls.broken(e);
    }
  }
}
