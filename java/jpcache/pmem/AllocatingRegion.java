package jpcache.pmem;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A mapped file whose holes stay holes until something is stored there: the place is allocated
 * first, and where there is no space for it that is an exception and not a SIGBUS. A system call
 * for each store, so for tools that make few.
 */
final class AllocatingRegion implements PmemRegion {
  /** Allocates a part of the file. */
  @FunctionalInterface
  interface Allocator {
    /**
     * Allocates so many bytes, one or more.
     *
     * @throws jpcache.base.UserException if there is no space
     */
    void allocate(long offsetBytes, long lengthBytes);
  }

  private final PmemRegion region;
  private final Allocator allocator;

  AllocatingRegion(PmemRegion region, Allocator allocator) {
    this.region = region;
    this.allocator = allocator;
  }

  private void allocate(long offsetBytes, long lengthBytes) {
    Objects.checkFromIndexSize(offsetBytes, lengthBytes, sizeBytes()); // it would grow
    if (lengthBytes > 0) {
      allocator.allocate(offsetBytes, lengthBytes);
    }
  }

  @Override
  public String name() {
    return region.name();
  }

  @Override
  public long sizeBytes() {
    return region.sizeBytes();
  }

  @Override
  public Kind kind() {
    return region.kind();
  }

  @Override
  public long address() {
    return region.address();
  }

  @Override
  public MemorySegment view() {
    return region.view();
  }

  @Override
  public boolean guardsStores() {
    return region.guardsStores();
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    allocate(offsetBytes, lengthBytes);
    region.copy(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public void drain() {
    region.drain();
  }

  @Override
  public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    allocate(offsetBytes, lengthBytes);
    region.persist(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public void close() {
    region.close();
  }

  @Override
  public String toString() {
    return region.toString();
  }
}
