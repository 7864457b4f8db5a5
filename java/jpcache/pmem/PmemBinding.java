package jpcache.pmem;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import jpcache.base.UserException;

/**
 * The ways from Java to libpmem; {@code --pmem} chooses one. In the order of preference, which is
 * that of their speed (docs/performance.md).
 *
 * <p>libpmem reads its environment when it is loaded, once per process: see {@link PmemFiles}.
 */
public enum PmemBinding {
  /** The JDK's foreign function interface: works without a library of ours, but unguarded. */
  FFM,
  /** A small library of ours in C (native/jpcache_jni.c). */
  JNI,
  /** JNA: works wherever its own library does, but a call costs 100 ns. */
  JNA;

  /** How {@code --pmem} and messages call it. */
  public String label() {
    return switch (this) {
      case FFM -> "ffm";
      case JNI -> "jni";
      case JNA -> "jna";
    };
  }

  /**
   * The binding, ready for use.
   *
   * @throws UserException if a library is missing, naming it and what to install or build
   */
  public Libpmem load() {
    requireLibrary(Libpmem.SONAME);
    return switch (this) {
      case FFM -> new FfmLibpmem();
      case JNI -> JniLibpmem.load();
      case JNA -> JnaLibpmem.load();
    };
  }

  /**
   * The first binding that can be loaded.
   *
   * @throws UserException if none can, with what the first one lacks
   */
  public static Libpmem loadFastest() {
    try {
      return values()[0].load();
    } catch (UserException first) {
      for (PmemBinding binding : values()) {
        try {
          return binding.load();
        } catch (UserException e) {
          first.addSuppressed(e);
        }
      }
      throw first;
    }
  }

  /** All bindings need it; asked for here, the bindings themselves have one failure less. */
  void requireLibrary(String soname) {
    try {
      SymbolLookup.libraryLookup(soname, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new UserException(
          "--pmem "
              + label()
              + ": "
              + soname
              + " cannot be loaded; install it (Debian: apt-get install libpmem1)",
          e);
    }
  }
}
