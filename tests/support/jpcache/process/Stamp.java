package jpcache.process;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Fills sectors so that each tells which write it came from, whole or not at all.
 *
 * <pre>
 *   0        8        16       24       32      40                          512
 *   | magic  | sector | write  | writer | seed  | a stream drawn from those  |
 * </pre>
 *
 * <p>Little-endian. The stream makes a sector that is torn anywhere differ from every whole one:
 * the first half of one write and the second half of another is neither.
 */
final class Stamp {
  static final int SECTOR_BYTES = 512;

  /** What {@link #read} gives for a sector that no write left whole. */
  static final long BROKEN = -1;

  private static final long MAGIC = 0x4A50_4341_5354_414DL;
  private static final int SECTOR_AT = 8;
  private static final int WRITE_AT = 16;
  private static final int WRITER_AT = 24;
  private static final int SEED_AT = 32;
  private static final int STREAM_AT = 40;

  private final long seed;

  Stamp(long seed) {
    this.seed = seed;
  }

  /** The payload of a write: {@code sectors} stamps from {@code firstSector} on. */
  byte[] payload(long write, int writer, long firstSector, int sectors) {
    byte[] bytes = new byte[sectors * SECTOR_BYTES];
    ByteBuffer out = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < sectors; i++) {
      put(out, i * SECTOR_BYTES, firstSector + i, write, writer);
    }
    return bytes;
  }

  /** The write that left the sector at {@code at}, or {@link #BROKEN}. */
  long read(ByteBuffer bytes, int at, long sector) {
    ByteBuffer in = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    return brokenAt(in, at, sector) == SECTOR_BYTES ? in.getLong(at + WRITE_AT) : BROKEN;
  }

  /** What is wrong with a sector that {@link #read} calls broken. */
  String describe(ByteBuffer bytes, int at, long sector) {
    ByteBuffer in = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    if (in.getLong(at) != MAGIC) {
      return String.format("no stamp, first word 0x%016x", in.getLong(at));
    }
    if (in.getLong(at + SECTOR_AT) != sector) {
      return "the stamp of sector " + in.getLong(at + SECTOR_AT);
    }
    if (in.getLong(at + SEED_AT) != seed) {
      return "a stamp of another run, seed " + in.getLong(at + SEED_AT);
    }
    return String.format(
        "torn: write %d of writer %d up to byte %d, then something else",
        in.getLong(at + WRITE_AT), in.getLong(at + WRITER_AT), brokenAt(in, at, sector));
  }

  private void put(ByteBuffer out, int at, long sector, long write, long writer) {
    out.putLong(at, MAGIC)
        .putLong(at + SECTOR_AT, sector)
        .putLong(at + WRITE_AT, write)
        .putLong(at + WRITER_AT, writer)
        .putLong(at + SEED_AT, seed);
    long word = start(sector, write, writer);
    for (int i = STREAM_AT; i < SECTOR_BYTES; i += Long.BYTES) {
      word = next(word);
      out.putLong(at + i, word);
    }
  }

  /** The first byte, in words, at which the sector is not what its own header promises. */
  private int brokenAt(ByteBuffer in, int at, long sector) {
    if (in.getLong(at) != MAGIC
        || in.getLong(at + SECTOR_AT) != sector
        || in.getLong(at + SEED_AT) != seed) {
      return 0;
    }
    long word = start(sector, in.getLong(at + WRITE_AT), in.getLong(at + WRITER_AT));
    for (int i = STREAM_AT; i < SECTOR_BYTES; i += Long.BYTES) {
      word = next(word);
      if (in.getLong(at + i) != word) {
        return i;
      }
    }
    return SECTOR_BYTES;
  }

  private long start(long sector, long write, long writer) {
    return next(next(next(seed ^ sector) ^ write) ^ writer);
  }

  /** A bijection that leaves no two neighbours alike: multiply by an odd number, fold, shift. */
  private static long next(long word) {
    long x = (word + 0x9E3779B97F4A7C15L) * 0xD1B54A32D192ED03L;
    return x ^ (x >>> 32);
  }
}
