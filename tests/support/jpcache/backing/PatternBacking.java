package jpcache.backing;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jpcache.base.Completion;

/**
 * A backing device of any size that costs nothing: every sector begins with its own offset. It
 * completes at once and forgets what is written.
 */
public final class PatternBacking extends TestDevice {
  private static final int SECTOR_BYTES = 512;

  private final long sizeBytes;
  private int reads;

  public PatternBacking(long sizeBytes) {
    super("pattern");
    this.sizeBytes = sizeBytes;
  }

  /** How many reads have been asked for. */
  public int reads() {
    return reads;
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    reads++;
    MemorySegment to = MemorySegment.ofAddress(address).reinterpret(lengthBytes);
    for (int at = 0; at < lengthBytes; at += SECTOR_BYTES) {
      to.set(ValueLayout.JAVA_LONG, at, offsetBytes + at);
    }
    done.complete(0);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    done.complete(0);
  }

  @Override
  public void flush(Completion done) {
    done.complete(0);
  }
}
