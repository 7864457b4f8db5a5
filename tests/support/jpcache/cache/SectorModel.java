package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/**
 * What a device must hold, told by versions: a sector's bytes are a function of its number and of
 * the number of the write that made them, and begin with both. So any sector that is read, from
 * whatever device, says which write it is of, and one that was torn or misplaced gives itself away.
 * Only zeros do not tell who made them.
 *
 * <p>512 bytes of device cost 4 bytes of model, and a plain array of bytes is still what is
 * compared with: {@link #fill} makes it.
 */
final class SectorModel {
  static final int SECTOR = 512;

  /** In place of a version: all bytes are 0, which any write of zeros may have made. */
  static final int ZERO = -2;

  private static final int WINDOW_SECTORS = 1 << 14; // 8 MiB, no write is longer

  /** Random bytes; a write takes a window of them, chosen by its number. */
  private static final MemorySegment POOL = pool();

  private static final MemorySegment ZEROS = Arena.global().allocate(SECTOR);

  private SectorModel() {}

  private static MemorySegment pool() {
    MemorySegment pool = Arena.global().allocate(3L * WINDOW_SECTORS * SECTOR, 64);
    SplittableRandom random = new SplittableRandom(42);
    for (long at = 0; at < pool.byteSize(); at += 8) {
      pool.set(JAVA_LONG, at, random.nextLong());
    }
    return pool;
  }

  private static long poolOffset(int sector, int version) {
    long window = ((version * 0x9E3779B97F4A7C15L) >>> 40) * 8 % ((long) WINDOW_SECTORS * SECTOR);
    return window + (long) (sector % WINDOW_SECTORS) * SECTOR;
  }

  private static long stamp(int sector, int version) {
    return ((long) sector << 32) | version;
  }

  /** Makes what write number {@code version} brings to some sectors. */
  static void fill(MemorySegment into, long at, int sector, int sectors, int version) {
    for (int i = 0; i < sectors; i++) {
      long to = at + (long) i * SECTOR;
      MemorySegment.copy(POOL, poolOffset(sector + i, version), into, to, SECTOR);
      into.set(JAVA_LONG.withByteAlignment(1), to, stamp(sector + i, version));
    }
  }

  /** Which write the bytes of a sector are of; -1 if they are not of this sector, or torn. */
  static int versionOf(MemorySegment bytes, long at, int sector) {
    long stamp = bytes.get(JAVA_LONG.withByteAlignment(1), at);
    int version = (int) stamp;
    if (stamp == 0 && MemorySegment.mismatch(bytes, at, at + SECTOR, ZEROS, 0, SECTOR) < 0) {
      return ZERO;
    }
    if (stamp >>> 32 != sector || version < 0) {
      return -1;
    }
    long from = poolOffset(sector, version);
    boolean same =
        MemorySegment.mismatch(bytes, at + 8, at + SECTOR, POOL, from + 8, from + SECTOR) < 0;
    return same ? version : -1;
  }

  /** The bytes of a whole device, each sector at version 0. */
  static byte[] firstContent(int sectors) {
    byte[] bytes = new byte[sectors * SECTOR];
    MemorySegment segment = MemorySegment.ofArray(bytes);
    fill(segment, 0, 0, sectors, 0);
    return bytes;
  }

  /** For failures: the first bytes of a sector that is not what it should be. */
  static String describe(MemorySegment bytes, long at) {
    long stamp = bytes.get(JAVA_LONG.withByteAlignment(1), at);
    return "stamped sector "
        + (stamp >>> 32)
        + " version "
        + (int) stamp
        + ", last byte "
        + bytes.get(JAVA_BYTE, at + SECTOR - 1);
  }
}
