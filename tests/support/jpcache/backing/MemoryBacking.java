package jpcache.backing;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * A backing device in memory whose requests complete when the test says so: at once, or one by one
 * under {@link #hold}.
 */
public final class MemoryBacking extends TestDevice {
  private final byte[] bytes;
  private final Queue<Runnable> held = new ArrayDeque<>();
  private final AtomicInteger reads = new AtomicInteger();
  private long writtenBytes;
  private long zeroedBytes;
  private long unmappedBytes;
  private boolean holding;
  private int readErrno;
  private long badByte = -1;
  private int writeErrno;
  private Runnable onWrite = () -> {};

  public MemoryBacking(byte[] bytes) {
    this(bytes, 512);
  }

  public MemoryBacking(byte[] bytes, int blockBytes) {
    super("memory", blockBytes, 4096);
    this.bytes = bytes;
  }

  /** From now on requests wait for {@link #release}. */
  public void hold() {
    holding = true;
  }

  /** Lets all waiting requests complete, the last one first. */
  public void release() {
    holding = false;
    ArrayDeque<Runnable> waiting = new ArrayDeque<>(held);
    held.clear();
    while (!waiting.isEmpty()) {
      waiting.removeLast().run();
    }
  }

  /** Reads fail with this error from now on; 0 heals them. */
  public void failReads(int errno) {
    readErrno = errno;
  }

  /** Reads of this byte's sector, and of anything with it, fail from now on. */
  public void failReadsAt(long offsetBytes) {
    badByte = offsetBytes;
  }

  /** Writes and flushes fail with this error from now on; 0 heals them. */
  public void failWrites(int errno) {
    writeErrno = errno;
  }

  /** Is run before each write, on its thread. */
  public void onWrite(Runnable hook) {
    onWrite = hook;
  }

  /** How many reads have been asked for. */
  public int reads() {
    return reads.get();
  }

  /** How many bytes have been written. */
  public long writtenBytes() {
    return writtenBytes;
  }

  /** How many bytes have been zeroed with their space kept. */
  public long zeroedBytes() {
    return zeroedBytes;
  }

  /** How many bytes have been zeroed with their space given up. */
  public long unmappedBytes() {
    return unmappedBytes;
  }

  @Override
  public long sizeBytes() {
    return bytes.length;
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    reads.incrementAndGet();
    submit(
        () -> {
          boolean bad = offsetBytes <= badByte && badByte < offsetBytes + lengthBytes;
          int errno = bad ? Errno.EIO : readErrno;
          if (errno == 0) {
            MemorySegment.copy(
                MemorySegment.ofArray(bytes),
                offsetBytes,
                MemorySegment.ofAddress(address).reinterpret(lengthBytes),
                0,
                lengthBytes);
          }
          done.complete(errno);
        },
        offsetBytes,
        lengthBytes,
        done);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    onWrite.run();
    submit(
        () -> {
          if (writeErrno == 0) {
            writtenBytes += lengthBytes;
            MemorySegment.copy(
                MemorySegment.ofAddress(address).reinterpret(lengthBytes),
                0,
                MemorySegment.ofArray(bytes),
                offsetBytes,
                lengthBytes);
          }
          done.complete(writeErrno);
        },
        offsetBytes,
        lengthBytes,
        done);
  }

  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    submit(
        () -> {
          if (writeErrno == 0) {
            Arrays.fill(bytes, (int) offsetBytes, (int) (offsetBytes + lengthBytes), (byte) 0);
            unmappedBytes += unmap ? lengthBytes : 0;
            zeroedBytes += unmap ? 0 : lengthBytes;
          }
          done.complete(writeErrno);
        },
        offsetBytes,
        lengthBytes,
        done);
  }

  @Override
  public void flush(Completion done) {
    submit(() -> done.complete(writeErrno), 0, 0, done);
  }

  private void submit(Runnable request, long offsetBytes, long lengthBytes, Completion done) {
    if (offsetBytes < 0 || offsetBytes > bytes.length - lengthBytes) {
      done.complete(Errno.EINVAL);
    } else if (holding) {
      held.add(request);
    } else {
      request.run();
    }
  }
}
