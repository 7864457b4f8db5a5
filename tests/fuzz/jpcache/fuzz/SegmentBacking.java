package jpcache.fuzz;

import java.lang.foreign.MemorySegment;
import jpcache.backing.TestDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;

/** A backing device over memory that somebody else owns; every request completes at once. */
final class SegmentBacking extends TestDevice {
  private final MemorySegment bytes;

  SegmentBacking(MemorySegment bytes) {
    super("memory");
    this.bytes = bytes;
  }

  @Override
  public long sizeBytes() {
    return bytes.byteSize();
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    copy(offsetBytes, lengthBytes, address, false, done);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    copy(offsetBytes, lengthBytes, address, true, done);
  }

  private void copy(
      long offsetBytes, int lengthBytes, long address, boolean write, Completion done) {
    if (offsetBytes < 0 || offsetBytes > bytes.byteSize() - lengthBytes) {
      done.complete(Errno.EINVAL);
      return;
    }
    MemorySegment here = bytes.asSlice(offsetBytes, lengthBytes);
    MemorySegment there = MemorySegment.ofAddress(address).reinterpret(lengthBytes);
    if (write) {
      here.copyFrom(there);
    } else {
      there.copyFrom(here);
    }
    done.complete(0);
  }

  @Override
  public void flush(Completion done) {
    done.complete(0);
  }
}
