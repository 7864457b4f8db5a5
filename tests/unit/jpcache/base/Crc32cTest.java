package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;

class Crc32cTest {
  /** The definition, bit by bit. */
  private static int reference(byte[] bytes) {
    int crc = Crc32c.SEED;
    for (byte b : bytes) {
      crc ^= b & 0xFF;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc & 1) != 0 ? (crc >>> 1) ^ 0x82F63B78 : crc >>> 1;
      }
    }
    return crc;
  }

  @Test
  void equalsTheBitwiseDefinitionForEveryLength() {
    Random random = new Random(1);
    Crc32c crc = new Crc32c();
    for (int length = 0; length < 300; length++) {
      byte[] bytes = new byte[length];
      random.nextBytes(bytes);
      assertEquals(reference(bytes), crc.of(bytes, 0, length), "length " + length);
    }
  }

  @Test
  void ofZerosIsTheChecksumOfThatManyZerosWithoutThem() {
    byte[] zeros = new byte[4 << 20];
    Crc32c crc = new Crc32c();
    for (int length = 0; length < 300; length++) {
      assertEquals(crc.of(zeros, 0, length), Crc32c.ofZeros(length), "length " + length);
    }
    for (int length = 512; length <= zeros.length; length = 2 * length + 512) {
      assertEquals(crc.of(zeros, 0, length), Crc32c.ofZeros(length), "length " + length);
    }
    assertEquals(crc.of(zeros, 0, zeros.length), Crc32c.ofZeros(zeros.length));
  }

  /** Bytes 4..23 of the superblock of a 512 MiB cache that Linux 7.3 formatted. */
  @Test
  void equalsTheKernelsChecksumOfASuperblock() {
    byte[] superblock = new byte[20];
    long magic = 0x65B05EFA96C596EFL;
    for (int i = 0; i < 8; i++) {
      superblock[4 + i] = (byte) (magic >>> (8 * i));
    }
    superblock[12] = 31;
    assertEquals(0x047F7742, new Crc32c().of(superblock, 0, superblock.length));
  }
}
