package jpcache.base;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * The checksum of every on-media structure: CRC-32C (Castagnoli, reflected) that starts from {@link
 * #SEED} and is not inverted at the end.
 *
 * <p>{@link CRC32C} starts from {@code ~0} and inverts at the end. Feeding it four bytes first that
 * take its register from {@code ~0} to the seed, and undoing the inversion, gives the kernel's
 * checksum at the speed of the JDK's intrinsic.
 *
 * <p>One instance serves one thread. Never hand it memory that may be poisoned: the intrinsic
 * cannot turn a SIGBUS into an exception, so data is copied out of persistent memory first.
 *
 * <p>Kernel counterpart: {@code crc32c(PCACHE_CRC_SEED, ...)}.
 */
public final class Crc32c {
  /** The register before the first byte. */
  public static final int SEED = 0x3B15A;

  private static final int POLYNOMIAL = 0x82F63B78;
  private static final byte[] PREIMAGE = preimage(~0, SEED);

  /** No buffer over memory can be larger. */
  private static final long WINDOW_BYTES = Integer.MAX_VALUE - 8;

  /** A window begins at a multiple of half its size, so that what begins in it fits it. */
  private static final long WINDOW_MASK = -(1L << 30);

  private final CRC32C crc = new CRC32C();

  /** The part of memory that was last summed in: a buffer for each sum would be garbage. */
  private ByteBuffer window = ByteBuffer.allocate(0);

  private long windowAddress = -1;

  /** The checksum of the buffer's remaining bytes; its position moves to its limit. */
  public int of(ByteBuffer bytes) {
    crc.reset();
    crc.update(PREIMAGE, 0, PREIMAGE.length);
    crc.update(bytes);
    return ~(int) crc.getValue();
  }

  /** The checksum of native memory, of less than 1 GiB. */
  public int of(long address, int lengthBytes) {
    if ((address & WINDOW_MASK) != windowAddress) {
      windowAddress = address & WINDOW_MASK;
      window = MemorySegment.ofAddress(windowAddress).reinterpret(WINDOW_BYTES).asByteBuffer();
    }
    int from = (int) (address - windowAddress);
    return of(window.limit(from + lengthBytes).position(from));
  }

  /** The checksum of {@code length} bytes of {@code bytes} from {@code from}. */
  public int of(byte[] bytes, int from, int length) {
    crc.reset();
    crc.update(PREIMAGE, 0, PREIMAGE.length);
    crc.update(bytes, from, length);
    return ~(int) crc.getValue();
  }

  /**
   * The checksum of so many zeros, without having them: a zero bit multiplies the register by x
   * modulo the polynomial, so {@code n} bytes multiply it by x to the power of 8n.
   */
  public static int ofZeros(long lengthBytes) {
    int register = SEED;
    int power = 1 << (Integer.SIZE - 1 - Byte.SIZE); // x^8: the lowest power is the highest bit
    for (long n = lengthBytes; n != 0; n >>>= 1) {
      if ((n & 1) != 0) {
        register = multiply(register, power);
      }
      power = multiply(power, power);
    }
    return register;
  }

  /** The product of two reflected polynomials modulo the generator. */
  private static int multiply(int a, int b) {
    int product = 0;
    int shifted = b;
    for (int bit = Integer.SIZE - 1; bit >= 0; bit--) {
      if ((a >>> bit & 1) != 0) {
        product ^= shifted;
      }
      shifted = shifted >>> 1 ^ ((shifted & 1) != 0 ? POLYNOMIAL : 0);
    }
    return product;
  }

  /**
   * The four bytes that take the register from {@code from} to {@code to}: the register is run
   * backwards over 32 zero bits, and what then differs from {@code from} is the input.
   */
  private static byte[] preimage(int from, int to) {
    int register = to;
    for (int bit = 0; bit < Integer.SIZE; bit++) {
      // A forward step shifts right and, if a one fell out, adds the polynomial, whose top bit is
      // set: the top bit of the result tells which of the two happened.
      register = register < 0 ? ((register ^ POLYNOMIAL) << 1) | 1 : register << 1;
    }
    int input = register ^ from;
    return new byte[] {
      (byte) input, (byte) (input >>> 8), (byte) (input >>> 16), (byte) (input >>> 24)
    };
  }
}
