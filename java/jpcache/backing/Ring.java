package jpcache.backing;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import jpcache.base.CFunction;
import jpcache.base.Errno;
import jpcache.base.Posix;

/**
 * The two queues that a process shares with the kernel, as io_uring(7) lays them out: entries that
 * tell what to do, and what became of them.
 *
 * <pre>
 *   struct io_uring_sqe (64 bytes)          struct io_uring_cqe (16 bytes)
 *    0  u8  opcode      8  u64 offset        0  u64 user_data
 *    1  u8  flags      16  u64 address       8  s32 result
 *    4  s32 fd         24  u32 length       12  u32 flags
 *   28  u32 op_flags   32  u64 user_data
 * </pre>
 *
 * <p>Used by one thread, the one that made it: the kernel finishes requests in the context of the
 * thread that submitted them, and drops those of a thread that ends.
 */
final class Ring implements AutoCloseable {
  static final int OP_FSYNC = 3;
  static final int OP_POLL_ADD = 6;
  static final int OP_FALLOCATE = 17;
  static final int OP_READ = 22;
  static final int OP_WRITE = 23;

  /** For {@link #OP_POLL_ADD}: there is something to be read. */
  static final int POLLIN = 1;

  /** For {@link #OP_FSYNC}: as fdatasync(2). */
  static final int FSYNC_DATASYNC = 1;

  // The numbers of these calls are the same on all architectures.
  private static final long SYS_SETUP = 425;
  private static final long SYS_ENTER = 426;

  private static final int PARAMS_BYTES = 120;
  private static final int SETUP_TASKRUN_FLAG = 1 << 9;
  private static final int SETUP_SINGLE_ISSUER = 1 << 12;
  private static final int SETUP_DEFER_TASKRUN = 1 << 13;
  private static final int ENTER_GETEVENTS = 1;

  /** In the submission queue's flags: requests have ended, and enter will tell of them. */
  private static final int SQ_TASKRUN = 1 << 2;

  /** One mapping holds both queues (Linux 5.4). */
  private static final int FEATURE_SINGLE_MMAP = 1;

  /** The kernel keeps completions that do not fit (5.5). */
  private static final int FEATURE_NO_DROP = 1 << 1;

  /** Came with {@link #OP_READ} and {@link #OP_WRITE} (5.6). */
  private static final int FEATURE_RW_CUR_POS = 1 << 3;

  private static final int FEATURES = FEATURE_SINGLE_MMAP | FEATURE_NO_DROP | FEATURE_RW_CUR_POS;

  private static final long MAP_RINGS = 0;
  private static final long MAP_ENTRIES = 0x10000000L;

  private static final int SQE_BYTES = 64;
  private static final int CQE_BYTES = 16;

  private static final CFunction SYSCALL = CFunction.returningLong("syscall");
  private static final VarHandle INDEX = JAVA_INT.varHandle();

  private final int fd;
  private final MemorySegment rings;
  private final MemorySegment entries;

  private final int entryCount;
  private final int entryMask;
  private final long submittedHead;
  private final long submittedTail;
  private final long submissionFlags;
  private final long completedHead;
  private final long completedTail;
  private final int completedMask;
  private final long completions;

  /** Our side of the submission queue: what has been written, and what the kernel was told of. */
  private int tail;

  private int toldTail;

  private Ring(int fd, MemorySegment rings, MemorySegment entries, MemorySegment params) {
    this.fd = fd;
    this.rings = rings;
    this.entries = entries;
    submittedHead = params.get(JAVA_INT, 40);
    submittedTail = params.get(JAVA_INT, 44);
    submissionFlags = params.get(JAVA_INT, 56);
    entryMask = rings.get(JAVA_INT, params.get(JAVA_INT, 48));
    entryCount = params.get(JAVA_INT, 0);
    completedHead = params.get(JAVA_INT, 80);
    completedTail = params.get(JAVA_INT, 84);
    completedMask = rings.get(JAVA_INT, params.get(JAVA_INT, 88));
    completions = params.get(JAVA_INT, 100);
    // The indirection from slots to entries is of no use to us: slot n is entry n, for ever.
    long array = params.get(JAVA_INT, 64);
    for (int slot = 0; slot < entryCount; slot++) {
      rings.set(JAVA_INT, array + (long) slot * Integer.BYTES, slot);
    }
    tail = (int) INDEX.getAcquire(rings, submittedTail);
    toldTail = tail;
  }

  /**
   * Opens a ring for the calling thread.
   *
   * @param wantedEntries how many entries it takes before they must be submitted; a power of two
   * @throws UnavailableException if this kernel, or who runs us, does not let us
   */
  static Ring open(int wantedEntries) throws UnavailableException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment params = arena.allocate(PARAMS_BYTES, Long.BYTES);
      int flags = SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG;
      int fd = setup(wantedEntries, flags, params);
      if (fd == -Errno.EINVAL) {
        fd = setup(wantedEntries, 0, params); // before Linux 6.1
      }
      if (fd < 0) {
        throw new UnavailableException(Errno.text(-fd));
      }
      try {
        return map(fd, params);
      } catch (Throwable e) {
        Posix.close(fd);
        throw e;
      }
    }
  }

  private static int setup(int wantedEntries, int flags, MemorySegment params) {
    params.fill((byte) 0).set(JAVA_INT, 8, flags);
    return (int) SYSCALL.call(SYS_SETUP, wantedEntries, params.address());
  }

  private static Ring map(int fd, MemorySegment params) throws UnavailableException {
    if ((params.get(JAVA_INT, 20) & FEATURES) != FEATURES) {
      throw new UnavailableException("the kernel's io_uring is older than Linux 5.6's");
    }
    long entryCount = params.get(JAVA_INT, 0);
    long completionCount = params.get(JAVA_INT, 4);
    long ringBytes =
        Math.max(
            params.get(JAVA_INT, 64) + entryCount * Integer.BYTES,
            params.get(JAVA_INT, 100) + completionCount * CQE_BYTES);
    MemorySegment rings = map(fd, ringBytes, MAP_RINGS);
    try {
      return new Ring(fd, rings, map(fd, entryCount * SQE_BYTES, MAP_ENTRIES), params);
    } catch (Throwable e) {
      unmap(rings);
      throw e;
    }
  }

  private static MemorySegment map(int fd, long lengthBytes, long what)
      throws UnavailableException {
    int protection = Posix.PROT_READ | Posix.PROT_WRITE;
    long address = Posix.mmap(lengthBytes, protection, Posix.MAP_SHARED, fd, what);
    if (address < 0) {
      throw new UnavailableException("mmap: " + Errno.text((int) -address));
    }
    return MemorySegment.ofAddress(address).reinterpret(lengthBytes);
  }

  private static void unmap(MemorySegment mapping) {
    Posix.munmap(mapping.address(), mapping.byteSize());
  }

  /** Whether another entry can be written before the next {@link #enter}. */
  boolean hasRoom() {
    return tail - (int) INDEX.getAcquire(rings, submittedHead) < entryCount;
  }

  /** Writes an entry, for which there must be room; the kernel sees it at the next enter. */
  void add(
      int opcode,
      int fileDescriptor,
      long offset,
      long address,
      int length,
      int opFlags,
      long userData) {
    long entry = (long) (tail & entryMask) * SQE_BYTES;
    entries.asSlice(entry, SQE_BYTES).fill((byte) 0);
    entries.set(ValueLayout.JAVA_BYTE, entry, (byte) opcode);
    entries.set(JAVA_INT, entry + 4, fileDescriptor);
    entries.set(JAVA_LONG, entry + 8, offset);
    entries.set(JAVA_LONG, entry + 16, address);
    entries.set(JAVA_INT, entry + 24, length);
    entries.set(JAVA_INT, entry + 28, opFlags);
    entries.set(JAVA_LONG, entry + 32, userData);
    tail++;
  }

  /**
   * Hands all entries to the kernel.
   *
   * @param wait whether to wait until something has completed
   * @return 0 or more, or {@code -errno}
   */
  int enter(boolean wait) {
    INDEX.setRelease(rings, submittedTail, tail);
    int count = tail - toldTail;
    // Without a signal mask, nobody looks at the seventh argument, its length.
    long result = SYSCALL.call(SYS_ENTER, fd, count, wait ? 1 : 0, ENTER_GETEVENTS, 0);
    if (result > 0) {
      toldTail += (int) result;
    }
    return (int) result;
  }

  /** Whether requests have ended of which {@link #enter} would tell without waiting. */
  boolean hasWork() {
    return hasCompletion() || ((int) INDEX.getOpaque(rings, submissionFlags) & SQ_TASKRUN) != 0;
  }

  /** Whether a completion can be taken. */
  boolean hasCompletion() {
    return (int) INDEX.get(rings, completedHead) != (int) INDEX.getAcquire(rings, completedTail);
  }

  /** The user data of the oldest completion. */
  long userData() {
    return rings.get(JAVA_LONG, oldest());
  }

  /** The result of the oldest completion, which is taken with it. */
  int takeResult() {
    int result = rings.get(JAVA_INT, oldest() + 8);
    INDEX.setRelease(rings, completedHead, (int) INDEX.get(rings, completedHead) + 1);
    return result;
  }

  private long oldest() {
    int head = (int) INDEX.get(rings, completedHead);
    return completions + (long) (head & completedMask) * CQE_BYTES;
  }

  /** Nothing may be under way. */
  @Override
  public void close() {
    unmap(entries);
    unmap(rings);
    Posix.close(fd);
  }

  /** There is no io_uring to be had; the message says why. */
  static final class UnavailableException extends Exception {
    private static final long serialVersionUID = 1;

    UnavailableException(String why) {
      super(why);
    }
  }
}
