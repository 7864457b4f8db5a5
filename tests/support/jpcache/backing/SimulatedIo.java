package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import jpcache.base.Errno;
import jpcache.base.Posix;

/**
 * A kernel by seed: calls take effect and end one at a time in random order, in part, interrupted
 * or not at all. Insists on what O_DIRECT insists on. For one thread, which steps it.
 */
final class SimulatedIo implements RawIo {
  static final int DIRECT = 100;
  static final int PLAIN = 101;

  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private final Geometry geometry;
  private final Random random;
  private final int failOneIn;
  private final byte[] disk;
  private final boolean punches;
  private final boolean zeroes;
  private final List<Runnable> pending = new ArrayList<>();
  private int callsUntilRefusal = Integer.MAX_VALUE;

  /**
   * A disk of zeros.
   *
   * @param failOneIn one in so many calls gives EIO; 0 for none
   */
  SimulatedIo(Geometry geometry, long seed, int failOneIn) {
    this.geometry = geometry;
    this.random = new Random(seed);
    this.failOneIn = failOneIn;
    this.disk = new byte[(int) geometry.sizeBytes()];
    punches = random.nextInt(3) > 0;
    zeroes = random.nextBoolean();
  }

  /** One call of those under way takes effect and ends. */
  void step() {
    if (!pending.isEmpty()) {
      pending.remove(random.nextInt(pending.size())).run();
    }
  }

  /** Whether no call is under way. */
  boolean idle() {
    return pending.isEmpty();
  }

  /** The so many-th call from now on is refused for want of memory. */
  void refuseCall(int number) {
    callsUntilRefusal = number;
  }

  private void submit(Runnable call) {
    if (--callsUntilRefusal == 0) {
      throw new OutOfMemoryError("simulated");
    }
    pending.add(call);
  }

  /** The byte that the disk holds. */
  int held(int offsetBytes) {
    return disk[offsetBytes];
  }

  /** All zeros again. */
  void clear() {
    Arrays.fill(disk, (byte) 0);
  }

  @Override
  public int depth() {
    return 32;
  }

  @Override
  public void read(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    insist(fd, offsetBytes, lengthBytes, address);
    submit(() -> {
      int n = part(fd, lengthBytes);
      if (n > 0) {
        MemorySegment.copy(disk, (int) offsetBytes, ALL, ValueLayout.JAVA_BYTE, address, n);
      }
      done.ended(n);
    });
  }

  @Override
  public void write(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
    insist(fd, offsetBytes, lengthBytes, address);
    submit(() -> {
      int n = part(fd, lengthBytes);
      int written = n > 0 ? n : part(fd, lengthBytes); // what failed may have been done in part
      if (written > 0) {
        MemorySegment.copy(ALL, ValueLayout.JAVA_BYTE, address, disk, (int) offsetBytes, written);
      }
      done.ended(n);
    });
  }

  @Override
  public void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done) {
    int unit = Math.max(geometry.granuleBytes(), geometry.preferredBlockBytes());
    assertEquals(0, (offsetBytes | lengthBytes) % unit, "whole blocks");
    assertTrue(offsetBytes + lengthBytes <= geometry.sizeBytes(), "the device");
    boolean punch = mode == (Posix.FALLOC_FL_KEEP_SIZE | Posix.FALLOC_FL_PUNCH_HOLE);
    boolean zero = mode == (Posix.FALLOC_FL_KEEP_SIZE | Posix.FALLOC_FL_ZERO_RANGE);
    assertTrue(punch || zero, "a mode");
    submit(() -> {
      if (punch ? !punches : !zeroes) {
        done.ended(-Errno.EOPNOTSUPP);
        return;
      }
      int n = part(PLAIN, (int) lengthBytes);
      int zeroed = n > 0 ? n : part(PLAIN, (int) lengthBytes); // what failed, in part
      if (zeroed > 0) {
        int to = (int) offsetBytes + (n > 0 ? (int) lengthBytes : zeroed);
        Arrays.fill(disk, (int) offsetBytes, to, (byte) 0);
      }
      done.ended(Math.min(n, 0));
    });
  }

  @Override
  public void sync(int fd, Result done) {
    submit(() -> done.ended(0));
  }

  @Override
  public void close() {
    assertTrue(pending.isEmpty(), "closed with calls under way");
  }

  private int part(int fd, int lengthBytes) {
    if (failOneIn > 0 && random.nextInt(failOneIn) == 0) {
      return -Errno.EIO;
    }
    return switch (random.nextInt(8)) {
      case 0 -> -Errno.EINTR;
      case 1 -> {
        int alignment = fd == DIRECT ? geometry.alignmentBytes() : 1;
        int least = Math.min(alignment, lengthBytes); // less of O_DIRECT is the end of the file
        yield least + random.nextInt(lengthBytes - least + 1);
      }
      default -> lengthBytes;
    };
  }

  private void insist(int fd, long offsetBytes, int lengthBytes, long address) {
    assertTrue(offsetBytes >= 0 && lengthBytes > 0, "a range");
    if (fd == DIRECT) {
      assertEquals(0, offsetBytes % geometry.granuleBytes(), "alignment of the offset");
      assertEquals(0, lengthBytes % geometry.granuleBytes(), "alignment of the length");
      assertEquals(0, address % geometry.memoryAlignmentBytes(), "alignment of the memory");
      assertTrue(offsetBytes + lengthBytes <= geometry.directEndBytes(), "the direct part");
    } else {
      assertEquals(PLAIN, fd);
      assertTrue(offsetBytes >= geometry.directEndBytes(), "the tail");
      assertTrue(offsetBytes + lengthBytes <= geometry.sizeBytes(), "the device");
    }
  }
}
