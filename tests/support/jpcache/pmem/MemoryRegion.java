package jpcache.pmem;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A region in ordinary memory that is thrown away: for tests that need no power cut. */
public final class MemoryRegion implements PmemRegion {
  private final Arena arena = Arena.ofShared();
  private final MemorySegment memory;
  private final MemorySegment view;

  public MemoryRegion(long sizeBytes) {
    memory = arena.allocate(sizeBytes, 4096);
    view = MemorySegment.ofAddress(memory.address()).reinterpret(sizeBytes).asReadOnly();
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

  /** The same memory, for tests that damage it. */
  public MemorySegment writable() {
    return memory;
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
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
  public void close() {
    arena.close();
  }
}
