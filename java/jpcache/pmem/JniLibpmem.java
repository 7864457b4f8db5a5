package jpcache.pmem;

import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.UserException;

/** libpmem through JNI. The native methods are native/jpcache_jni.c, one line each over libpmem. */
final class JniLibpmem implements Libpmem {
  private JniLibpmem() {}

  /**
   * The binding.
   *
   * @throws UserException if our native library has not been built, or is not for this machine
   */
  static Libpmem load() {
    Path library = OwnLibrary.path();
    if (!Files.isRegularFile(library)) {
      throw new UserException(
          "--pmem jni: "
              + library
              + " is missing; build it (cmake -B target/native && cmake --build target/native), name"
              + " its directory by -D"
              + OwnLibrary.DIRECTORY_PROPERTY
              + ", or choose --pmem ffm");
    }
    try {
      System.load(library.toString());
    } catch (UnsatisfiedLinkError e) {
      throw new UserException("--pmem jni: " + library + ": " + e.getMessage(), e);
    }
    return new JniLibpmem();
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
  public boolean guardsCopies() {
    return true;
  }

  @Override
  public native int memcpyPersist(long to, long from, long lengthBytes);

  @Override
  public native int memcpyNodrain(long to, long from, long lengthBytes);

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
