package jpcache.pmem;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.base.DeviceLock;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.UserException;

/**
 * Media mapped for reading alone, for tools that look at it offline: a file of any file system, a
 * devdax device or a block device.
 *
 * <p>Needs no libpmem and no right to write. Holds a shared lock: tools may look together, but not
 * while somebody writes. A block device that the kernel itself uses (device mapper, a mount) is
 * refused when it is opened; afterwards a reader does not keep the kernel off. Read it through
 * {@link PmemReads}: an error of the device below surfaces as a fault of the memory.
 *
 * <p>The view is never closed but invalid after {@link #close}, as {@link PmemRegion#view}.
 */
public final class ReadOnlyMapping implements AutoCloseable {
  private final OpenMedia media;
  private final MemorySegment view;
  private final AtomicBoolean closed = new AtomicBoolean();

  private ReadOnlyMapping(OpenMedia media, long address) {
    this.media = media;
    this.view = MemorySegment.ofAddress(address).reinterpret(media.sizeBytes()).asReadOnly();
  }

  /**
   * Maps what a user named.
   *
   * @throws UserException if it is missing, empty, in use by a writer or of a wrong kind
   */
  public static ReadOnlyMapping open(String path) {
    OpenMedia media = OpenMedia.open(path, Posix.O_RDONLY);
    try {
      DeviceLock.shared(media.fd(), path);
      if (media.type() == OpenMedia.Type.BLOCK) {
        Posix.close(media.claim(Posix.O_RDONLY, true)); // other readers are to come in, too
      }
      if (media.sizeBytes() == 0) {
        throw new UserException(path + ": is empty");
      }
      long address =
          Posix.mmap(media.sizeBytes(), Posix.PROT_READ, Posix.MAP_SHARED, media.fd(), 0);
      if (address < 0) {
        throw new UserException(path + ": cannot be mapped: " + Errno.text((int) -address));
      }
      return new ReadOnlyMapping(media, address);
    } catch (RuntimeException e) {
      media.close();
      throw e;
    }
  }

  /** How users call it: the path it was opened by. */
  public String name() {
    return media.name();
  }

  public long sizeBytes() {
    return media.sizeBytes();
  }

  /** All of it, read-only. */
  public MemorySegment view() {
    return view;
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      Posix.munmap(view.address(), media.sizeBytes());
      media.close();
    }
  }
}
