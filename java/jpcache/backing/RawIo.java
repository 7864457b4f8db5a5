package jpcache.backing;

/**
 * The system's own read, write and sync, asynchronously, exactly as it does them: short counts and
 * interruptions are the caller's to continue, alignment is the caller's to see to.
 *
 * <p>This is the only part of the package that differs between ways to talk to the kernel. Nothing
 * is ever told on the thread that submitted, before the call returns: a caller may submit from
 * within {@link Result#ended} and never deepens the stack.
 *
 * <p>A call for which there is no memory throws OutOfMemoryError, and nothing has begun then nor is
 * told. Nothing else is lost for it: those under way end as they would.
 *
 * <p>All methods may be called from any thread.
 */
interface RawIo extends AutoCloseable {
  /** Told once when a call has ended. */
  interface Result {
    /**
     * The call has ended.
     *
     * @param result the bytes it moved, or {@code -errno}
     */
    void ended(int result);
  }

  /** How many calls the kernel is given at once. */
  int depth();

  /** pread(2) into memory that stays the system's until it has ended. */
  void read(int fd, long offsetBytes, int lengthBytes, long address, Result done);

  /** pwrite(2) from memory that must not change until it has ended. */
  void write(int fd, long offsetBytes, int lengthBytes, long address, Result done);

  /** fallocate(2); the result is 0 or {@code -errno}. */
  void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done);

  /** fdatasync(2). */
  void sync(int fd, Result done);

  /** Nothing may be under way, nor come after. */
  @Override
  void close();
}
