package jpcache.fuzz;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** Makes new inputs of old ones, by seed: what {@code ./ci/test} has in place of Jazzer. */
final class Mutator {
  private static final int MOST_BYTES = 8192;
  private static final long[] SPECIAL = {
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    31,
    127,
    128,
    129,
    255,
    512,
    4095,
    4096,
    65535,
    1 << 24,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    0xFFFFFFFFL,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    -1,
    -512
  };

  private final SplittableRandom random;
  private final List<byte[]> seeds;

  Mutator(List<byte[]> seeds, SplittableRandom random) {
    this.seeds = seeds;
    this.random = random;
  }

  byte[] next() {
    byte[] input = any().clone();
    for (int n = 1 + random.nextInt(1 << random.nextInt(5)); n > 0; n--) {
      input = mutate(input);
    }
    return input;
  }

  private byte[] any() {
    return seeds.get(random.nextInt(seeds.size()));
  }

  private byte[] mutate(byte[] in) {
    int at = random.nextInt(in.length + 1);
    return switch (random.nextInt(8)) {
      case 0 -> spliced(in, at, at, random(1 + random.nextInt(16)));
      case 1 -> spliced(in, at, Math.min(in.length, at + 1 + random.nextInt(16)), new byte[0]);
      case 2 -> {
        byte[] other = any();
        int from = random.nextInt(other.length + 1);
        int to = from + random.nextInt(other.length - from + 1);
        yield spliced(in, at, at, Arrays.copyOfRange(other, from, to));
      }
      case 3 -> Arrays.copyOf(in, at);
      case 4, 5 -> overwritten(in, at, number());
      default -> overwritten(in, at, random(1));
    };
  }

  private byte[] random(int bytes) {
    byte[] random = new byte[bytes];
    this.random.nextBytes(random);
    return random;
  }

  /** A number that often matters, of any width and in any byte order. */
  private byte[] number() {
    long value = SPECIAL[random.nextInt(SPECIAL.length)] + random.nextInt(3) - 1;
    boolean bigEndian = random.nextBoolean();
    byte[] number = new byte[1 << random.nextInt(4)];
    for (int i = 0; i < number.length; i++) {
      number[bigEndian ? number.length - 1 - i : i] = (byte) (value >>> (8 * i));
    }
    return number;
  }

  private static byte[] overwritten(byte[] in, int at, byte[] with) {
    return spliced(in, at, Math.min(in.length, at + with.length), with);
  }

  private static byte[] spliced(byte[] in, int from, int to, byte[] with) {
    if (in.length - (to - from) + with.length > MOST_BYTES) {
      return in;
    }
    byte[] out = new byte[in.length - (to - from) + with.length];
    System.arraycopy(in, 0, out, 0, from);
    System.arraycopy(with, 0, out, from, with.length);
    System.arraycopy(in, to, out, from + with.length, in.length - to);
    return out;
  }
}
