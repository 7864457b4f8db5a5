package jpcache.pmem;

import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import jpcache.base.UserException;

/**
 * libpmem through JNI. The native methods are native/jpcache_jni.c, one line each over libpmem;
 * their library lies in {@code -Djpcache.native.dir}, by default the directory {@code native}
 * beside the jar (in a checkout target/native, where the build puts it).
 */
final class JniLibpmem implements Libpmem {
  /** Names the directory of our native libraries. */
  static final String DIRECTORY_PROPERTY = "jpcache.native.dir";

  private static final String FILE = "libjpcache_jni.so";

  private JniLibpmem() {}

  /**
   * The binding.
   *
   * @throws UserException if our native library has not been built, or is not for this machine
   */
  static Libpmem load() {
    Path library = directory().resolve(FILE).toAbsolutePath();
    if (!Files.isRegularFile(library)) {
      throw new UserException(
          "--pmem jni: "
              + library
              + " is missing; build it (cmake -B target/native && cmake --build target/native), name"
              + " its directory by -D"
              + DIRECTORY_PROPERTY
              + ", or choose --pmem ffm");
    }
    try {
      System.load(library.toString());
    } catch (UnsatisfiedLinkError e) {
      throw new UserException("--pmem jni: " + library + ": " + e.getMessage(), e);
    }
    return new JniLibpmem();
  }

  private static Path directory() {
    String directory = System.getProperty(DIRECTORY_PROPERTY);
    if (directory != null) {
      return Path.of(directory);
    }
    try {
      CodeSource jarOrClasses = JniLibpmem.class.getProtectionDomain().getCodeSource();
      return Path.of(jarOrClasses.getLocation().toURI()).resolveSibling("native");
    } catch (URISyntaxException e) {
      throw new AssertionError("a class from a place that is no URI", e);
    }
  }

  @Override
  public PmemBinding binding() {
    return PmemBinding.JNI;
  }

  @Override
  public native long mapFile(
      long path, long lengthBytes, int flags, int mode, long mappedLength, long isPmem);

  @Override
  public native int unmap(long address, long lengthBytes);

  @Override
  public native boolean isPmem(long address, long lengthBytes);

  @Override
  public native void memcpyPersist(long to, long from, long lengthBytes);

  @Override
  public native void memcpyNodrain(long to, long from, long lengthBytes);

  @Override
  public native void flush(long address, long lengthBytes);

  @Override
  public native void drain();

  @Override
  public native void persist(long address, long lengthBytes);

  @Override
  public native int msync(long address, long lengthBytes);

  @Override
  public native long errormsg();
}
