package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Random;
import jpcache.Seeds;
import org.junit.jupiter.api.Test;

class ReceiveBufferTest {
  private static void receive(ReceiveBuffer buffer, byte[] bytes, int from, int length) {
    NativeMemory.copy(bytes, from, buffer.writeAddress(), length);
    buffer.received(length);
  }

  @Test
  void keepsEveryByteThroughMovesAndGrowth() {
    long before = NativeMemory.inUseBytes();
    long seed = Seeds.next(ReceiveBufferTest.class);
    Random random = new Random(seed);
    byte[] stream = new byte[64 << 20];
    random.nextBytes(stream);
    try (ReceiveBuffer buffer = new ReceiveBuffer()) {
      int arrived = 0;
      int taken = 0;
      while (taken < stream.length) {
        int largest = random.nextInt(10) == 0 ? 3 << 20 : 40_000;
        int wanted = Math.min(random.nextInt(1, largest), stream.length - taken);
        while (buffer.available() < wanted) {
          buffer.makeRoomFor(wanted);
          assertTrue(buffer.room() > 0, "seed " + seed);
          int more = Math.min(random.nextInt(1, buffer.room() + 1), stream.length - arrived);
          receive(buffer, stream, arrived, more);
          arrived += more;
        }
        byte[] message = new byte[wanted];
        ByteBuffer view = NativeMemory.view(buffer.readAddress(), wanted);
        view.get(message);
        assertArrayEquals(
            java.util.Arrays.copyOfRange(stream, taken, taken + wanted), message, "seed " + seed);
        buffer.take(wanted);
        taken += wanted;
      }
      buffer.shrink();
      assertEquals(ReceiveBuffer.BASE_BYTES, buffer.capacity());
    }
    assertEquals(before, NativeMemory.inUseBytes());
  }

  @Test
  void growsOnlyAsFarAsTheRequestThatIsArriving() {
    try (ReceiveBuffer buffer = new ReceiveBuffer()) {
      receive(buffer, new byte[100], 0, 100);
      int wanted = Request.MAX_BYTES + NbdProtocol.REQUEST_HEADER_BYTES;
      buffer.makeRoomFor(wanted);
      assertEquals(NativeMemory.wholePages(wanted), buffer.capacity());
      assertEquals(100, buffer.available());
      buffer.shrink();
      assertEquals(NativeMemory.wholePages(wanted), buffer.capacity(), "not while it arrives");
    }
  }
}
