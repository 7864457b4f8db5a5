package jpcache.block;

import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * One client's way into a {@link BlockDevice}: requests are handed over one by one, and {@link
 * #commit} then makes a whole batch of them durable at once.
 *
 * <p>A queue is used by one thread at a time. Offsets and lengths must be multiples of the device's
 * {@link BlockDevice#minimumBlockBytes() minimum block} and lie inside the device: the caller
 * (which has the protocol's own words for such errors) checks that first. Addresses are those of
 * native memory.
 *
 * <p>Every request that is handed over completes exactly once, whatever happens:
 *
 * <ul>
 *   <li>by the queue, on the thread that uses it: while it is handed over, in {@link #commit}, or
 *       in {@link #close} at the latest, which ends with ESHUTDOWN what no commit has completed;
 *   <li>or by another thread that has it: a read that missed, a write that waits for room or for a
 *       device. Such a request may complete after {@link #close}, and the memory of its read is the
 *       device's until then.
 * </ul>
 *
 * <p>That includes a request whose method throws, and all reads of a batch whose {@link #readAll}
 * does: they end with an error, now or when whoever has a part of them is done with it. After a
 * method has thrown, {@link #close} is the only one that may be called.
 *
 * <p>Requests that are handed over between two commits have no order among themselves as far as
 * reads are concerned: a read may or may not see a write of the same batch. Of two overlapping
 * writes the later one wins.
 */
public interface BlockQueue extends AutoCloseable {
  /**
   * Reads into memory at {@code address}, which stays the device's until {@code done} is called:
   * before this returns when everything is cached, otherwise later on another thread. A read needs
   * no commit.
   */
  void read(long offsetBytes, int lengthBytes, long address, Completion done);

  /** The same for some reads at once; the batch itself is the caller's again when this returns. */
  default void readAll(ReadBatch batch) {
    int next = 0;
    try {
      while (next < batch.count()) {
        int i = next++;
        read(batch.offsetBytes(i), batch.lengthBytes(i), batch.address(i), batch.completion(i));
      }
    } finally {
      batch.fail(next, Errno.EIO);
    }
  }

  /**
   * Lends the bytes of a range where they lie, if the device can: they are what a read would find
   * now, whatever is written later.
   *
   * @return false if they have to be read
   */
  default boolean lend(long offsetBytes, int lengthBytes, Loan loan) {
    return false;
  }

  /**
   * Writes from memory at {@code address}, which must not change before {@link #commit} returns.
   * {@code done} is called by {@link #commit}, or before this returns if the write fails at once. A
   * write that has to wait has its data copied, and is completed later by another thread.
   *
   * @param fua the data must be durable when {@code done} is called, whatever the device's
   *     durability otherwise promises
   */
  void write(long offsetBytes, int lengthBytes, long address, boolean fua, Completion done);

  /**
   * Makes a range read as zeros. A write in all that matters: {@code done} is called as a write's
   * is, overlapping writes of the batch are in order with it, and once it has completed it survives
   * what a write survives. Unlike a write it takes no memory of the caller's, may be as long as the
   * device, and costs little where it is long.
   *
   * <p>A long one need not be atomic: while it is under way, and after a crash, some of the range
   * may be zeros and the rest what it was.
   *
   * @param lengthBytes not limited by {@link BlockDevice#MAX_TRANSFER_BYTES}
   * @param unmap the device may give up the space that the range takes; otherwise a later write to
   *     it must not fail for want of space
   * @param fua as for {@link #write}
   */
  void writeZeroes(long offsetBytes, long lengthBytes, boolean unmap, boolean fua, Completion done);

  /**
   * Brings a range into the cache, as far as it is worth it: a hint, which may be ignored and then
   * completes with 0 all the same. Needs no commit.
   *
   * @param lengthBytes not limited by {@link BlockDevice#MAX_TRANSFER_BYTES}
   * @param done called as a read's is
   */
  void prefetch(long offsetBytes, long lengthBytes, Completion done);

  /**
   * Leaves what has not begun of all {@link #prefetch}es: nobody will read it. They complete, now
   * or with what is under way of them.
   */
  default void abandonPrefetches() {}

  /**
   * Tells what a range consists of, from its begin to its end or until the sink has enough; of a
   * long one, of which there is much to find out, perhaps not all. The sink is called before this
   * returns, once at least, with no lock held; requests under way may be in it or not.
   *
   * @param lengthBytes not limited by {@link BlockDevice#MAX_TRANSFER_BYTES}
   */
  void describe(long offsetBytes, long lengthBytes, ExtentSink sink);

  /**
   * All writes that completed on any queue before this call are durable when {@code done} is called
   * with 0, by {@link #commit} or later by another thread.
   */
  void flush(Completion done);

  /**
   * Applies, and as far as the device promises it makes durable, all that was handed over since the
   * last commit, and completes it. Cheap when nothing was.
   */
  void commit();

  /**
   * Gives the queue up. What no commit has made, writes, zeros and flushes, is dropped and
   * completes with ESHUTDOWN before this returns; what others have under way is left to them, and
   * prefetches are {@link #abandonPrefetches abandoned}. Closing once more does nothing.
   */
  @Override
  void close();
}
