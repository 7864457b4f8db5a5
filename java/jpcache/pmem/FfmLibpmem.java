package jpcache.pmem;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import jpcache.base.CFunction;
import jpcache.base.Errno;

/**
 * libpmem through the JDK's foreign function interface.
 *
 * <p>The calls of the hot path are <em>critical</em>: the thread stays in Java's state, which saves
 * the transition (a nanosecond of four) but holds up safepoints for as long as the call takes. So
 * one such call writes at most {@link #CRITICAL_BYTES}, some 3 microseconds of work.
 *
 * <p>Our own library, which guards the copies, is taken if it is there; without it everything works
 * on libpmem alone, and memory that is gone ends the process.
 *
 * <p>The library must be loadable before this class is touched ({@link PmemBinding#load}).
 */
final class FfmLibpmem implements Libpmem {
  /** What one critical call may copy or flush. */
  static final long CRITICAL_BYTES = 64 << 10;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final SymbolLookup LIBRARY = SymbolLookup.libraryLookup(SONAME, Arena.global());

  private static final CFunction MAP_FILE = CFunction.returningLong(address("pmem_map_file"));
  private static final CFunction UNMAP = CFunction.returningInt(address("pmem_unmap"));
  private static final CFunction IS_PMEM = CFunction.returningInt(address("pmem_is_pmem"));
  private static final CFunction MSYNC = CFunction.returningInt(address("pmem_msync"));
  private static final CFunction ERRORMSG = CFunction.returningLong(address("pmem_errormsg"));

  /** One shape for all, as with {@link CFunction}; what flush and drain return is of no use. */
  private static final FunctionDescriptor THREE_LONGS =
      FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

  private static final Optional<SymbolLookup> GUARD = OwnLibrary.load();

  // Negative when they return if memory is gone. libpmem's own return the destination's address,
  // which is not.
  private static final MethodHandle MEMCPY_PERSIST =
      critical(guarded(OwnLibrary.MEMCPY_PERSIST, "pmem_memcpy_persist"));
  private static final MethodHandle MEMCPY_NODRAIN =
      critical(guarded(OwnLibrary.MEMCPY_NODRAIN, "pmem_memcpy_nodrain"));

  private static final MethodHandle FLUSH = critical(address("pmem_flush"));
  private static final MethodHandle DRAIN = critical(address("pmem_drain"));

  private static MethodHandle critical(MemorySegment function) {
    return LINKER.downcallHandle(function, THREE_LONGS, Linker.Option.critical(false));
  }

  private static MemorySegment guarded(String ours, String libpmems) {
    return GUARD.map(library -> library.findOrThrow(ours)).orElseGet(() -> address(libpmems));
  }

  private static MemorySegment address(String name) {
    return LIBRARY.findOrThrow(name);
  }

  @Override
  public PmemBinding binding() {
    return PmemBinding.FFM;
  }

  @Override
  public long mapFile(
      long path, long lengthBytes, int flags, int mode, long mappedLength, long isPmem) {
    return MAP_FILE.call(path, lengthBytes, flags, mode, mappedLength, isPmem);
  }

  @Override
  public int unmap(long address, long lengthBytes) {
    return (int) UNMAP.call(address, lengthBytes);
  }

  @Override
  public boolean isPmem(long address, long lengthBytes) {
    return IS_PMEM.call(address, lengthBytes) != 0;
  }

  @Override
  public boolean guardsCopies() {
    return GUARD.isPresent();
  }

  @Override
  public int memcpyPersist(long to, long from, long lengthBytes) {
    if (lengthBytes > CRITICAL_BYTES) {
      int result = memcpyNodrain(to, from, lengthBytes);
      drain();
      return result;
    }
    try {
      return result((long) MEMCPY_PERSIST.invokeExact(to, from, lengthBytes));
    } catch (Throwable e) {
      throw CFunction.broken(e);
    }
  }

  @Override
  public int memcpyNodrain(long to, long from, long lengthBytes) {
    try {
      long done = 0;
      for (; lengthBytes - done > CRITICAL_BYTES; done += CRITICAL_BYTES) {
        if ((long) MEMCPY_NODRAIN.invokeExact(to + done, from + done, CRITICAL_BYTES) < 0) {
          return -Errno.EFAULT;
        }
      }
      return result((long) MEMCPY_NODRAIN.invokeExact(to + done, from + done, lengthBytes - done));
    } catch (Throwable e) {
      throw CFunction.broken(e);
    }
  }

  private static int result(long returned) {
    return returned < 0 ? -Errno.EFAULT : 0;
  }

  @Override
  public void flush(long address, long lengthBytes) {
    try {
      long ignored;
      long done = 0;
      for (; lengthBytes - done > CRITICAL_BYTES; done += CRITICAL_BYTES) {
        ignored = (long) FLUSH.invokeExact(address + done, CRITICAL_BYTES, 0L);
      }
      ignored = (long) FLUSH.invokeExact(address + done, lengthBytes - done, 0L);
    } catch (Throwable e) {
      throw CFunction.broken(e);
    }
  }

  @Override
  public void drain() {
    try {
      long ignored = (long) DRAIN.invokeExact(0L, 0L, 0L);
    } catch (Throwable e) {
      throw CFunction.broken(e);
    }
  }

  @Override
  public void persist(long address, long lengthBytes) {
    flush(address, lengthBytes);
    drain();
  }

  @Override
  public int msync(long address, long lengthBytes) {
    return (int) MSYNC.call(address, lengthBytes);
  }

  @Override
  public long errormsg() {
    return ERRORMSG.call();
  }
}
