package jpcache.pmem;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * A region that libpmem has mapped.
 *
 * <p>On persistent memory, real or emulated, {@link #copy} is pmem_memcpy_nodrain: non-temporal
 * stores where they pay, and {@link #drain} the fence behind them.
 *
 * <p>On an ordinary file ({@link PmemRegion.Kind#NOT_PMEM}) flushing CPU caches makes nothing
 * durable. There {@link #copy} is an ordinary copy and msync of the pages that it touched, so the
 * store is durable when copy returns, earlier than it promises, and {@link #drain} has nothing left
 * to wait for, nor to fail for.
 *
 * <p>The kernel tells a write-back error of the file to one msync, whosever page it was, and may
 * have dropped the page. So one msync runs at a time, and after one that failed none is asked any
 * more: every store whose msync had not ended by then fails, and every later one.
 */
final class LibpmemRegion implements PmemRegion {
  private static final String GONE = "its memory is gone";

  private final String name;
  private final Kind kind;
  private final Libpmem libpmem;
  private final long address;
  private final long sizeBytes;
  private final MemorySegment writable;
  private final MemorySegment view;
  private final boolean flushable;
  private final Runnable unlock;
  private final AtomicBoolean closed = new AtomicBoolean();

  /** Held by the msync that runs: no other can take the error of its pages. */
  private final Object msync = new Object();

  /** What the first msync that failed said, or 0; written with {@link #msync} held. */
  private volatile int msyncErrno;

  /**
   * Takes a mapping over.
   *
   * @param unlock called once the region is unmapped
   */
  LibpmemRegion(String name, Kind kind, Libpmem libpmem, Libpmem.Mapping mapping, Runnable unlock) {
    this.name = name;
    this.kind = kind;
    this.libpmem = libpmem;
    this.address = mapping.address();
    this.sizeBytes = mapping.lengthBytes();
    this.writable = MemorySegment.ofAddress(address).reinterpret(sizeBytes);
    this.view = writable.asReadOnly();
    this.flushable = kind != Kind.NOT_PMEM;
    this.unlock = unlock;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public Kind kind() {
    return kind;
  }

  @Override
  public long address() {
    return address;
  }

  @Override
  public MemorySegment view() {
    return view;
  }

  @Override
  public boolean guardsStores() {
    return !flushable || libpmem.guardsCopies();
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    Objects.checkFromIndexSize(offsetBytes, lengthBytes, sizeBytes);
    if (flushable) {
      int result = libpmem.memcpyNodrain(address + offsetBytes, sourceAddress, lengthBytes);
      requireStored(result, offsetBytes, lengthBytes);
    } else {
      copyThroughKernel(offsetBytes, sourceAddress, lengthBytes);
    }
  }

  @Override
  public void drain() {
    if (flushable) {
      libpmem.drain();
    }
  }

  @Override
  public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    Objects.checkFromIndexSize(offsetBytes, lengthBytes, sizeBytes);
    if (flushable) {
      int result = libpmem.memcpyPersist(address + offsetBytes, sourceAddress, lengthBytes);
      requireStored(result, offsetBytes, lengthBytes);
    } else {
      copyThroughKernel(offsetBytes, sourceAddress, lengthBytes);
    }
  }

  private void requireStored(int result, long offsetBytes, long lengthBytes) {
    if (result != 0) {
      throw unwritten(offsetBytes, lengthBytes, GONE, null);
    }
  }

  private void copyThroughKernel(long offsetBytes, long sourceAddress, long lengthBytes) {
    if (lengthBytes == 0) {
      return;
    }
    if (msyncErrno != 0) {
      throw noLongerStored(offsetBytes, lengthBytes);
    }
    MemorySegment source = MemorySegment.ofAddress(sourceAddress).reinterpret(lengthBytes);
    try {
      MemorySegment.copy(source, 0, writable, offsetBytes, lengthBytes);
      MemoryFaults.deliver(0);
    } catch (InternalError e) {
      throw unwritten(offsetBytes, lengthBytes, GONE, e);
    }
    synchronized (msync) {
      if (msyncErrno == 0) {
        msyncErrno = -libpmem.msync(address + offsetBytes, lengthBytes);
      }
      if (msyncErrno != 0) {
        throw noLongerStored(offsetBytes, lengthBytes);
      }
    }
  }

  private UncheckedIOException noLongerStored(long offsetBytes, long lengthBytes) {
    String why =
        "its file system has failed to store ("
            + Errno.text(msyncErrno)
            + "), and nothing is stored any more; see to the disk, then start jpcache again";
    return unwritten(offsetBytes, lengthBytes, why, null);
  }

  private UncheckedIOException unwritten(
      long offsetBytes, long lengthBytes, String why, @Nullable Throwable cause) {
    String what =
        name + ": " + lengthBytes + " bytes at " + offsetBytes + " are not durable: " + why;
    return new UncheckedIOException(what, new IOException(what, cause));
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      libpmem.unmap(address, sizeBytes);
      unlock.run();
    }
  }

  @Override
  public String toString() {
    return name + " (" + kind + ", " + libpmem.binding().label() + ")";
  }
}
