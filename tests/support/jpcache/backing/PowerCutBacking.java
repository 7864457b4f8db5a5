package jpcache.backing;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * A backing device in memory with a volatile write cache: what has not been flushed when the power
 * is cut may be lost, sector by sector. Requests complete at once; one thread uses it.
 */
public final class PowerCutBacking implements BackingDevice {
  private static final int SECTOR_BYTES = 512;

  private record Write(long offsetBytes, MemorySegment bytes) {}

  private final int blockBytes;
  private final byte[] current;
  private final byte[] durable;
  private final List<Write> unflushed = new ArrayList<>();
  private long requestsLeft = Long.MAX_VALUE;
  private int writes;
  private long zeroedBytes;

  public PowerCutBacking(byte[] bytes, int blockBytes) {
    this.current = bytes.clone();
    this.durable = bytes.clone();
    this.blockBytes = blockBytes;
  }

  /** After so many writes and flushes all fail, until {@link #powerCut}. */
  public void failAfter(long requests) {
    requestsLeft = requests;
  }

  /** Keeps any part of what was not flushed, and works again. */
  public void powerCut(SplittableRandom random) {
    for (Write write : unflushed) {
      for (long at = 0; at < write.bytes.byteSize(); at += SECTOR_BYTES) {
        if (random.nextBoolean()) {
          MemorySegment.copy(
              write.bytes,
              at,
              MemorySegment.ofArray(durable),
              write.offsetBytes + at,
              SECTOR_BYTES);
        }
      }
    }
    unflushed.clear();
    System.arraycopy(durable, 0, current, 0, current.length);
    requestsLeft = Long.MAX_VALUE;
  }

  /** How many writes a power cut could lose. */
  public int unflushedWrites() {
    return unflushed.size();
  }

  /** How many writes there were. */
  public int writes() {
    return writes;
  }

  /** How many bytes were zeroed without being written. */
  public long zeroedBytes() {
    return zeroedBytes;
  }

  /** What a power cut could not lose. */
  public byte[] durableBytes() {
    return durable.clone();
  }

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public long sizeBytes() {
    return current.length;
  }

  @Override
  public int blockBytes() {
    return blockBytes;
  }

  @Override
  public int directAlignmentBytes() {
    return 4096;
  }

  @Override
  public boolean readOnly() {
    return false;
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    if (!valid(offsetBytes, lengthBytes)) {
      done.complete(Errno.EINVAL);
      return;
    }
    MemorySegment.copy(
        MemorySegment.ofArray(current),
        offsetBytes,
        MemorySegment.ofAddress(address).reinterpret(lengthBytes),
        0,
        lengthBytes);
    done.complete(0);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    MemorySegment data = MemorySegment.ofAddress(address).reinterpret(lengthBytes);
    change(offsetBytes, data.toArray(ValueLayout.JAVA_BYTE), done);
  }

  /**
   * Space that was given up may come back as well: what a power cut leaves is decided by sector.
   */
  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    zeroedBytes += lengthBytes;
    change(offsetBytes, new byte[(int) lengthBytes], done);
  }

  private void change(long offsetBytes, byte[] bytes, Completion done) {
    if (!valid(offsetBytes, bytes.length)) {
      done.complete(Errno.EINVAL);
    } else if (requestsLeft-- <= 0) {
      done.complete(Errno.EIO);
    } else {
      System.arraycopy(bytes, 0, current, (int) offsetBytes, bytes.length);
      unflushed.add(new Write(offsetBytes, MemorySegment.ofArray(bytes)));
      writes++;
      done.complete(0);
    }
  }

  @Override
  public void flush(Completion done) {
    if (requestsLeft-- <= 0) {
      done.complete(Errno.EIO);
      return;
    }
    unflushed.clear();
    System.arraycopy(current, 0, durable, 0, current.length);
    done.complete(0);
  }

  @Override
  public void close() {}

  private boolean valid(long offsetBytes, int lengthBytes) {
    return offsetBytes >= 0
        && offsetBytes <= current.length - lengthBytes
        && ((offsetBytes | lengthBytes) & (blockBytes - 1)) == 0;
  }
}
