package jpcache.cache;

import jpcache.base.Completion;

/**
 * All that was dirty at some moment, on its way to the backing device: what {@code flush} and a
 * change of mode wait for. What is written later does not make it longer.
 *
 * <p>Ends when everything is there and the device has been flushed, or with the first error;
 * write-back goes on trying all the same.
 *
 * <p>Begun and ended by the maintenance thread, looked at by any.
 */
public final class Drain implements Completion {
  static final int PENDING = -1;

  /** How many dirty bytes write-back will have dealt with then; not known before it has begun. */
  private volatile long targetBytes = Long.MAX_VALUE;

  private volatile long leftBytes;
  private volatile int errno = PENDING;

  /** Whether a mode is to be stored once all is there. */
  final boolean storesMode;

  /** The device has been asked to flush what direct writes have brought. */
  private boolean flushes;

  private volatile int flushErrno = PENDING;

  Drain(long leftBytes, boolean storesMode) {
    this.leftBytes = leftBytes;
    this.storesMode = storesMode;
  }

  /** Whether the device has yet to be flushed for it. Once. */
  boolean beginFlush() {
    boolean first = !flushes;
    flushes = true;
    return first;
  }

  /** The flush that was begun for it has ended; from any thread. */
  void flushed(int result) {
    flushErrno = result;
  }

  /** What the flush that was begun for it has ended with, or {@link #PENDING}. */
  int flushErrno() {
    return flushErrno;
  }

  boolean hasBegun() {
    return targetBytes != Long.MAX_VALUE;
  }

  void begin(long target) {
    targetBytes = target;
  }

  /** Write-back has dealt with so many bytes; whether that was all. */
  boolean advance(long writtenBackBytes) {
    leftBytes = Math.max(0, targetBytes - writtenBackBytes);
    return leftBytes == 0;
  }

  @Override
  public void complete(int result) {
    errno = result;
  }

  /** How many bytes are still to be brought to the backing device, overwritten ones included. */
  public long leftBytes() {
    return leftBytes;
  }

  public boolean hasEnded() {
    return errno != PENDING;
  }

  /** What it ended with: 0, or the error of the backing device. */
  public int errno() {
    return errno;
  }
}
