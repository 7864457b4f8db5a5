package jpcache.pmem;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import jpcache.base.UserException;

/**
 * libpmem through JNA's direct mapping: its native methods are the C functions themselves.
 *
 * <p>JNA brings its own native library in its jar and unpacks it where it may execute it.
 */
final class JnaLibpmem implements Libpmem {
  /** The C functions; JNA binds a class's native methods by name. */
  @SuppressWarnings("MethodName") // they are called as C calls them
  private static final class C {
    static {
      Native.register(C.class, NativeLibrary.getInstance(SONAME));
    }

    private C() {}

    static native long pmem_map_file(
        long path, long length, int flags, int mode, long mappedLength, long isPmem);

    static native int pmem_unmap(long address, long length);

    static native int pmem_is_pmem(long address, long length);

    static native long pmem_memcpy_persist(long to, long from, long length);

    static native long pmem_memcpy_nodrain(long to, long from, long length);

    static native void pmem_flush(long address, long length);

    static native void pmem_drain();

    static native void pmem_persist(long address, long length);

    static native int pmem_msync(long address, long length);

    static native long pmem_errormsg();
  }

  /** The guarded copies of our own library. */
  @SuppressWarnings("MethodName") // as above
  private static final class Guard {
    static {
      Native.register(Guard.class, NativeLibrary.getInstance(OwnLibrary.path().toString()));
    }

    private Guard() {}

    static native long jpcache_memcpy_persist(long to, long from, long length);

    static native long jpcache_memcpy_nodrain(long to, long from, long length);
  }

  private static final boolean GUARDED = OwnLibrary.load().isPresent();

  private JnaLibpmem() {}

  /**
   * The binding.
   *
   * @throws UserException if JNA's own native library cannot be unpacked or loaded
   */
  static Libpmem load() {
    try {
      JnaLibpmem libpmem = new JnaLibpmem();
      libpmem.drain(); // binds the functions
      return libpmem;
    } catch (LinkageError e) {
      throw new UserException(
          "--pmem jna: JNA cannot load its native library ("
              + e.getMessage()
              + "); set -Djna.tmpdir to a directory that allows execution, or choose --pmem ffm",
          e);
    }
  }

  @Override
  public PmemBinding binding() {
    return PmemBinding.JNA;
  }

  @Override
  public long mapFile(
      long path, long lengthBytes, int flags, int mode, long mappedLength, long isPmem) {
    return C.pmem_map_file(path, lengthBytes, flags, mode, mappedLength, isPmem);
  }

  @Override
  public int unmap(long address, long lengthBytes) {
    return C.pmem_unmap(address, lengthBytes) == 0 ? 0 : -Native.getLastError();
  }

  @Override
  public boolean isPmem(long address, long lengthBytes) {
    return C.pmem_is_pmem(address, lengthBytes) != 0;
  }

  @Override
  public boolean guardsCopies() {
    return GUARDED;
  }

  @Override
  public int memcpyPersist(long to, long from, long lengthBytes) {
    if (GUARDED) {
      return (int) Guard.jpcache_memcpy_persist(to, from, lengthBytes);
    }
    var _ = C.pmem_memcpy_persist(to, from, lengthBytes);
    return 0;
  }

  @Override
  public int memcpyNodrain(long to, long from, long lengthBytes) {
    if (GUARDED) {
      return (int) Guard.jpcache_memcpy_nodrain(to, from, lengthBytes);
    }
    var _ = C.pmem_memcpy_nodrain(to, from, lengthBytes);
    return 0;
  }

  @Override
  public void flush(long address, long lengthBytes) {
    C.pmem_flush(address, lengthBytes);
  }

  @Override
  public void drain() {
    C.pmem_drain();
  }

  @Override
  public void persist(long address, long lengthBytes) {
    C.pmem_persist(address, lengthBytes);
  }

  @Override
  public int msync(long address, long lengthBytes) {
    return C.pmem_msync(address, lengthBytes) == 0 ? 0 : -Native.getLastError();
  }

  @Override
  public long errormsg() {
    return C.pmem_errormsg();
  }
}
