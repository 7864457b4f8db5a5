package jpcache.pmem;

import java.lang.foreign.MemorySegment;

/** A region that tells a test of each store just before it is made. */
public final class WatchedRegion implements PmemRegion {
  /** Is told of stores, on the thread that makes them. */
  @FunctionalInterface
  public interface Watcher {
    void store(long offsetBytes, long lengthBytes);
  }

  private final PmemRegion region;
  private volatile Watcher watcher = (offset, length) -> {};

  public WatchedRegion(PmemRegion region) {
    this.region = region;
  }

  /** From now on this one is told. */
  public void watch(Watcher chosen) {
    watcher = chosen;
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
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    watcher.store(offsetBytes, lengthBytes);
    region.copy(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public void drain() {
    region.drain();
  }

  @Override
  public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    watcher.store(offsetBytes, lengthBytes);
    region.persist(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public void close() {
    region.close();
  }
}
