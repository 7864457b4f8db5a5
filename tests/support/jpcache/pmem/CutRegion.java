package jpcache.pmem;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A region whose power is cut in the middle of its N-th drain: of the stores since the one before,
 * any subset of 8-byte words has reached the memory, nothing after it does.
 *
 * <p>Stores are seen through {@link #view} once they are drained, not before. One thread uses it.
 */
public final class CutRegion implements PmemRegion {
  /** The power is gone. */
  public static final class PowerCut extends RuntimeException {
    PowerCut() {
      super("power cut");
    }
  }

  private record Store(long offsetBytes, MemorySegment bytes) {}

  private final MemoryRegion memory;
  private final SplittableRandom random;
  private final List<Store> pending = new ArrayList<>();
  private long drainsLeft;

  /**
   * A region over {@code memory}.
   *
   * @param drains how many drains complete before the cut one; Long.MAX_VALUE for no cut
   */
  public CutRegion(MemoryRegion memory, long drains, SplittableRandom random) {
    this.memory = memory;
    this.drainsLeft = drains;
    this.random = random;
  }

  @Override
  public String name() {
    return "memory with a power cut";
  }

  @Override
  public long sizeBytes() {
    return memory.sizeBytes();
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
    return memory.view();
  }

  @Override
  public void copy(long offsetBytes, long sourceAddress, long lengthBytes) {
    MemorySegment source = MemorySegment.ofAddress(sourceAddress).reinterpret(lengthBytes);
    pending.add(
        new Store(offsetBytes, MemorySegment.ofArray(source.toArray(ValueLayout.JAVA_BYTE))));
  }

  @Override
  public void drain() {
    boolean cut = drainsLeft-- == 0;
    // Now and then all of it arrived or nothing, which of many words would be rare.
    int chance = cut ? random.nextInt(3) : 2;
    for (Store store : pending) {
      if (cut) {
        applyWords(store, chance);
      } else {
        apply(store, 0, store.bytes.byteSize());
      }
    }
    pending.clear();
    if (cut) {
      throw new PowerCut();
    }
  }

  @Override
  public void persist(long offsetBytes, long sourceAddress, long lengthBytes) {
    copy(offsetBytes, sourceAddress, lengthBytes);
    drain();
  }

  private void applyWords(Store store, int chance) {
    long from = 0;
    while (from < store.bytes.byteSize()) {
      long wordEnd = (store.offsetBytes + from & -8) + 8;
      long to = Math.min(wordEnd - store.offsetBytes, store.bytes.byteSize());
      if (chance == 2 || (chance == 1 && random.nextBoolean())) {
        apply(store, from, to);
      }
      from = to;
    }
  }

  private void apply(Store store, long from, long to) {
    MemorySegment.copy(store.bytes, from, memory.writable(), store.offsetBytes + from, to - from);
  }

  /** The memory outlives the cut. */
  @Override
  public void close() {}
}
