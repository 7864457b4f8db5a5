package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import jpcache.Seeds;
import jpcache.block.MemoryBlockDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A client that was never told the block sizes may read any bytes; it still writes blocks. */
class UnalignedReadPropertyTest {
  private static final int SIZE = 4 << 20;
  private static final int EINVAL = 22;

  @ParameterizedTest
  @ValueSource(ints = {512, 4096})
  void anyBytesAreReadWhereverTheyLie(int blockBytes) throws IOException {
    long seed = Seeds.next(UnalignedReadPropertyTest.class);
    Random random = new Random(seed);
    byte[] all = new byte[SIZE];
    random.nextBytes(all);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(SIZE, blockBytes, false));
        NbdClient client = served.unix()) {
      client.hello().exportName("");
      client.write(0, all);
      for (int i = 0; i < 300; i++) {
        int length = 1 + random.nextInt(1 + random.nextInt(200_000));
        int offset = random.nextInt(5) == 0 ? SIZE - length : random.nextInt(SIZE - length);
        assertArrayEquals(
            Arrays.copyOfRange(all, offset, offset + length),
            client.read(offset, length),
            "seed " + seed + ": " + length + " at " + offset);
      }
      int past = client.call(NbdClient.READ, 0, SIZE - 3, 7, new byte[0]).error();
      assertEquals(EINVAL, past, "past the end");
      assertEquals(EINVAL, client.call(NbdClient.WRITE, 0, 1, 3, new byte[3]).error());
    }
  }

  @Test
  void whoWasToldTheBlockSizesKeepsToThem() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(SIZE, 512, false));
        NbdClient client = served.unix()) {
      client.go("");
      assertEquals(EINVAL, client.call(NbdClient.READ, 0, 1, 3, new byte[0]).error());
    }
  }
}
