package jpcache.backing;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.function.ToIntFunction;
import jpcache.base.Completion;

/**
 * A backing device in memory that remembers what it was asked for, in order, and which of its
 * sectors hold anything. It answers before the call returns, or, while it {@link #hold holds}, when
 * it is let go. Any thread.
 */
public final class RecordingBacking extends TestDevice {
  /** Something that was asked for. */
  public sealed interface Request {}

  /** A write; reads are not recorded. */
  public record Write(long offsetBytes, int lengthBytes) implements Request {}

  public record Zero(long offsetBytes, long lengthBytes, boolean unmap) implements Request {}

  public record Flush() implements Request {}

  private static final int SECTOR = 512;

  private final byte[] bytes;

  /** Sectors that are no hole. */
  private final BitSet stored = new BitSet();

  private final List<Request> requests = new ArrayList<>();
  private final List<Runnable> held = new ArrayList<>();
  private boolean holding;
  private Runnable onHoleAsked = () -> {};
  private ToIntFunction<Request> outcome = request -> 0;

  /** A device of so many bytes that is all hole. */
  public RecordingBacking(int sizeBytes) {
    super("recorded device", SECTOR, 4096);
    bytes = new byte[sizeBytes];
  }

  /** From now on writes, zeroes and flushes are recorded, and done when they are let go. */
  public synchronized void hold() {
    holding = true;
  }

  /** Does what is held, in order, and holds nothing more. */
  public void release() {
    List<Runnable> released;
    synchronized (this) {
      holding = false;
      released = List.copyOf(held);
      held.clear();
    }
    released.forEach(Runnable::run);
  }

  /** With which error each request ends from now on; 0 for none. */
  public synchronized void fail(ToIntFunction<Request> errno) {
    outcome = errno;
  }

  /** What was asked for so far. */
  public synchronized List<Request> requests() {
    return List.copyOf(requests);
  }

  public synchronized void forgetRequests() {
    requests.clear();
  }

  /** The byte at a place. */
  public synchronized byte at(long offsetBytes) {
    return bytes[(int) offsetBytes];
  }

  @Override
  public synchronized void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    memory(address, lengthBytes).copyFrom(part(offsetBytes, lengthBytes));
    done.complete(0);
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    take(
        new Write(offsetBytes, lengthBytes),
        () -> {
          part(offsetBytes, lengthBytes).copyFrom(memory(address, lengthBytes));
          store(offsetBytes, lengthBytes, true);
        },
        done);
  }

  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    take(
        new Zero(offsetBytes, lengthBytes, unmap),
        () -> {
          part(offsetBytes, lengthBytes).fill((byte) 0);
          store(offsetBytes, lengthBytes, !unmap);
        },
        done);
  }

  private void store(long offsetBytes, long lengthBytes, boolean something) {
    stored.set(
        (int) (offsetBytes / SECTOR), (int) ((offsetBytes + lengthBytes) / SECTOR), something);
  }

  /** Is run after each search for a hole, before the answer is given. */
  public synchronized void onHoleAsked(Runnable hook) {
    onHoleAsked = hook;
  }

  @Override
  public synchronized long nextHole(long fromBytes, long toBytes) {
    long hole = (long) SECTOR * stored.nextClearBit((int) (fromBytes / SECTOR));
    onHoleAsked.run();
    return Math.min(toBytes, hole);
  }

  @Override
  public synchronized long nextData(long fromBytes, long toBytes) {
    int data = stored.nextSetBit((int) (fromBytes / SECTOR));
    return data < 0 ? toBytes : Math.min(toBytes, (long) SECTOR * data);
  }

  @Override
  public void flush(Completion done) {
    take(new Flush(), () -> {}, done);
  }

  private void take(Request request, Runnable change, Completion done) {
    int errno;
    synchronized (this) {
      requests.add(request);
      errno = outcome.applyAsInt(request);
      if (holding) {
        held.add(() -> answer(change, errno, done));
        return;
      }
    }
    answer(change, errno, done);
  }

  private void answer(Runnable change, int errno, Completion done) {
    if (errno == 0) {
      synchronized (this) {
        change.run();
      }
    }
    done.complete(errno);
  }

  private MemorySegment part(long offsetBytes, long lengthBytes) {
    return MemorySegment.ofArray(bytes).asSlice(offsetBytes, lengthBytes);
  }

  private static MemorySegment memory(long address, int lengthBytes) {
    return MemorySegment.ofAddress(address).reinterpret(lengthBytes);
  }

  @Override
  public long sizeBytes() {
    return bytes.length;
  }
}
