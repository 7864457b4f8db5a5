package jpcache.pmem;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.Optional;

/**
 * Our own native library: the methods of {@link JniLibpmem}, and for all bindings the guarded
 * copies of native/pmem_guard.c. It lies in {@code -Djpcache.native.dir}, which the launcher gives,
 * by default the directory {@code native} beside the jar (in a checkout target/native, where the
 * build puts it).
 */
final class OwnLibrary {
  /** Names the directory of our native libraries. */
  static final String DIRECTORY_PROPERTY = "jpcache.native.dir";

  /** pmem_memcpy_persist that returns 0, or -EFAULT where memory is gone. */
  static final String MEMCPY_PERSIST = "jpcache_memcpy_persist";

  /** The same of pmem_memcpy_nodrain. */
  static final String MEMCPY_NODRAIN = "jpcache_memcpy_nodrain";

  private OwnLibrary() {}

  /** Where it is, if it has been built. */
  static Path path() {
    return directory().resolve("libjpcache_jni.so").toAbsolutePath();
  }

  /** Loads it, for good; empty if it has not been built, or is not for this machine. */
  static Optional<SymbolLookup> load() {
    Path path = path();
    try {
      return Files.isRegularFile(path)
          ? Optional.of(SymbolLookup.libraryLookup(path, Arena.global()))
          : Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  private static Path directory() {
    String directory = System.getProperty(DIRECTORY_PROPERTY);
    if (directory != null) {
      return Path.of(directory);
    }
    try {
      CodeSource jarOrClasses = OwnLibrary.class.getProtectionDomain().getCodeSource();
      return Path.of(jarOrClasses.getLocation().toURI()).resolveSibling("native");
    } catch (URISyntaxException e) {
      throw new AssertionError("a class from a place that is no URI", e);
    }
  }
}
