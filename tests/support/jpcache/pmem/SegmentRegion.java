package jpcache.pmem;

import java.lang.foreign.MemorySegment;

/**
 * A region over memory that somebody else owns, such as a mapped file. It can be told to stop: the
 * store after so many fails and leaves no trace, as if the process had been killed before it.
 */
public final class SegmentRegion implements PmemRegion {
  /** The process was killed before a store. */
  public static final class Killed extends RuntimeException {
    Killed() {
      super("killed before a store");
    }
  }

  private final MemorySegment memory;
  private final MemorySegment view;
  private long storesLeft = Long.MAX_VALUE;
  private Runnable beforeStore = () -> {};

  public SegmentRegion(MemorySegment memory) {
    this.memory = memory;
    view = MemorySegment.ofAddress(memory.address()).reinterpret(memory.byteSize()).asReadOnly();
  }

  /** After so many stores the next one is not made. */
  public void killAfter(long stores) {
    storesLeft = stores;
  }

  /** Is run before each store. */
  public void beforeStore(Runnable check) {
    beforeStore = check;
  }

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public long sizeBytes() {
    return memory.byteSize();
  }

  @Override
  public Kind kind() {
    return Kind.EMULATED;
  }

  @Override
  public long address() {
    return memory.address();
  }

  @Override
  public MemorySegment view() {
    return view;
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    if (storesLeft-- <= 0) {
      throw new Killed();
    }
    beforeStore.run();
    MemorySegment source = MemorySegment.ofAddress(sourceAddress).reinterpret(lengthBytes);
    MemorySegment.copy(source, 0, memory, offsetBytes, lengthBytes);
  }

  @Override
  public void drain() {}

  @Override
  public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    copy(offsetBytes, sourceAddress, lengthBytes);
  }

  @Override
  public void close() {}
}
