package jpcache.block;

import java.util.Arrays;
import java.util.Objects;
import jpcache.base.Completion;
import org.jspecify.annotations.Nullable;

/**
 * Reads that are handed over together ({@link BlockQueue#readAll}): whoever answers them can look
 * for all of them at once, which hides most of the time that memory takes.
 *
 * <p>Used by one thread; to be used again after {@link #clear}.
 */
public final class ReadBatch {
  /**
   * As many as memory can be asked for at once, and more; their places fit the first-level cache.
   */
  public static final int MAX_READS = 32;

  private int count;
  private final long[] offsets = new long[MAX_READS];
  private final int[] lengths = new int[MAX_READS];
  private final long[] addresses = new long[MAX_READS];
  private final @Nullable Completion[] completions = new Completion[MAX_READS];

  /** Adds a read, as {@link BlockQueue#read} takes it; only if it is not full. */
  public void add(long offsetBytes, int lengthBytes, long address, Completion done) {
    offsets[count] = offsetBytes;
    lengths[count] = lengthBytes;
    addresses[count] = address;
    completions[count] = done;
    count++;
  }

  public int count() {
    return count;
  }

  public boolean isFull() {
    return count == MAX_READS;
  }

  public long offsetBytes(int read) {
    return offsets[read];
  }

  public int lengthBytes(int read) {
    return lengths[read];
  }

  public long address(int read) {
    return addresses[read];
  }

  public Completion completion(int read) {
    return Objects.requireNonNull(completions[read]);
  }

  /** Completes the reads from number {@code from} on, which nobody has begun, with an error. */
  public void fail(int from, int errno) {
    for (int i = from; i < count; i++) {
      completion(i).complete(errno);
    }
  }

  public void clear() {
    Arrays.fill(completions, 0, count, null);
    count = 0;
  }
}
