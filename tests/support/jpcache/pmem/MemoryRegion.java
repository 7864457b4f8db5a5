package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import jpcache.base.Posix;

/**
 * A region in ordinary memory: the base of tests that need persistent memory and nothing of its
 * ways. A test may be told of each store before it is made, and keep it from being made by throwing
 * ({@link jpcache.support.Power#require}); {@link SimPmem} knows which stores are durable.
 */
public class MemoryRegion implements PmemRegion {
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

  /** Is told of stores, on the thread that makes them. */
  @FunctionalInterface
  public interface Watcher {
    void store(long offsetBytes, long lengthBytes);
  }

  private final MemorySegment memory;
  private final MemorySegment view;
  private final boolean owned;
  private volatile Watcher watcher = (offset, length) -> {};

  /** A region of zeros. What is never stored into costs no memory. */
  public MemoryRegion(long sizeBytes) {
    this(map(sizeBytes), true);
  }

  /** A region over memory that somebody else owns, such as a mapped file. */
  public MemoryRegion(MemorySegment memory) {
    this(memory, false);
  }

  private MemoryRegion(MemorySegment memory, boolean owned) {
    this.memory = memory;
    this.owned = owned;
    view = MemorySegment.ofAddress(memory.address()).reinterpret(memory.byteSize()).asReadOnly();
  }

  private static MemorySegment map(long sizeBytes) {
    long address = Posix.mmap(sizeBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    assertTrue(address > 0, "mmap: " + address);
    return MemorySegment.ofAddress(address).reinterpret(sizeBytes);
  }

  /** From now on this one is told of stores, before they are made. */
  public final void watch(Watcher chosen) {
    watcher = chosen;
  }

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public final long sizeBytes() {
    return memory.byteSize();
  }

  @Override
  public final Kind kind() {
    return Kind.EMULATED;
  }

  @Override
  public final long address() {
    return memory.address();
  }

  /** Every load begins here, so a test that overrides this can let something happen before it. */
  @Override
  public MemorySegment view() {
    return view;
  }

  /** The same memory, for tests that damage it. */
  public final MemorySegment writable() {
    return memory;
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    watcher.store(offsetBytes, lengthBytes);
    MemorySegment source = MemorySegment.ofAddress(sourceAddress).reinterpret(lengthBytes);
    MemorySegment.copy(source, 0, memory, offsetBytes, lengthBytes);
  }

  @Override
  public void drain() {}

  @Override
  public final void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    copy(offsetBytes, sourceAddress, lengthBytes);
    drain();
  }

  @Override
  public void close() {
    if (owned) {
      Posix.munmap(memory.address(), memory.byteSize());
    }
  }
}
