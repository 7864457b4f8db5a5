package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jpcache.Seeds;
import jpcache.block.MemoryBlockDevice;
import jpcache.support.Soon;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Clients that do what no client should. Whatever they do, the server goes on serving others, and
 * {@link ServedMemory} sees that nothing is left of them.
 */
@Timeout(300)
class HostileClientTest {
  private static final int MIB = 1 << 20;

  private static void stillServes(ServedMemory served, boolean tcp) throws IOException {
    try (NbdClient client = served.client(tcp)) {
      client.go("");
      byte[] data = {1, 2, 3};
      byte[] block = java.util.Arrays.copyOf(data, 512);
      client.write(0, block);
      assertArrayEquals(block, client.read(0, 512));
      client.disconnect();
    }
  }

  private static void allGone(ServedMemory served) {
    ServedMemory.eventually("the end of all connections", () -> served.server.connections() == 0);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void survivesDisconnectionAfterEveryByteOfANegotiation(boolean tcp) throws IOException {
    byte[] go = NbdClient.infoRequest("", 1, 3);
    ByteBuffer all = ByteBuffer.allocate(4 + 16 + go.length);
    all.putInt(3).putLong(0x49484156454F5054L).putInt(7).putInt(go.length).put(go);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      for (int length = 0; length <= all.capacity(); length++) {
        try (NbdClient client = served.client(tcp)) {
          client.greeting();
          client.send(ByteBuffer.wrap(all.array(), 0, length));
        }
      }
      allGone(served);
      stillServes(served, tcp);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void appliesNothingOfAWriteThatIsCutShort(boolean tcp) throws IOException {
    byte[] payload = new byte[512];
    java.util.Arrays.fill(payload, (byte) 0x55);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      for (int length = 0; length < 540; length++) {
        ByteBuffer write = NbdClient.request(NbdClient.WRITE, 0, 1, length * 512L, 512, payload);
        try (NbdClient client = served.client(tcp)) {
          client.go("");
          client.send(write.limit(length));
        }
      }
      allGone(served);
      for (byte b : served.device.bytes().toArray(ValueLayout.JAVA_BYTE)) {
        assertEquals(0, b);
      }
      stillServes(served, tcp);
    }
  }

  @Test
  void growsForALargeWriteThatNeverComesAndGivesTheMemoryBack() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(40 * MIB));
        NbdClient client = served.unix()) {
      client.go("");
      client.send(
          NbdClient.request(NbdClient.WRITE, 0, 1, 0, 32 * MIB, new byte[MIB]).limit(28 + MIB));
      stillServes(served, false);
      client.raw().shutdownOutput();
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void letsNobodyWaitForAClientThatSendsByteByByte() throws IOException {
    byte[] payload = new byte[4096];
    java.util.Arrays.fill(payload, (byte) 0x77);
    ByteBuffer slow = NbdClient.request(NbdClient.WRITE, 0, 1, 8192, 4096, payload);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient slowest = served.tcp();
        NbdClient other = served.tcp()) {
      slowest.go("");
      other.go("");
      while (slow.hasRemaining()) {
        slowest.send(slow.slice(slow.position(), 1));
        slow.position(slow.position() + 1);
        if (slow.position() % 50 == 0) {
          assertArrayEquals(new byte[4096], other.read(8192, 4096));
        }
      }
      assertEquals(0, slowest.receive().error());
      assertArrayEquals(payload, other.read(8192, 4096));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void survivesRandomBytesInNegotiationAndTransmission(boolean tcp) throws IOException {
    long seed = Seeds.next(HostileClientTest.class);
    Random random = new Random(seed);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      for (int round = 0; round < 150; round++) {
        byte[] noise = new byte[random.nextInt(1, 5000)];
        random.nextBytes(noise);
        try (NbdClient client = served.client(tcp)) {
          if (round % 3 == 0) {
            client.greeting();
          } else if (round % 3 == 1) {
            client.hello();
          } else {
            client.go("");
            // A header that gets past the magic.
            ByteBuffer header = ByteBuffer.wrap(noise);
            if (noise.length > 28) {
              header.putInt(0, 0x25609513).putShort(4, (short) 0);
              header.putShort(6, (short) random.nextInt(5)).putInt(24, random.nextInt(9000));
            }
          }
          client.send(ByteBuffer.wrap(noise));
          client.raw().shutdownOutput();
          client.closedByServer();
        } catch (IOException e) {
          // The server closed while this was still sending: as it may.
        }
      }
      allGone(served);
      stillServes(served, tcp);
    } catch (AssertionError e) {
      throw new AssertionError("seed " + seed, e);
    }
  }

  private static final int ENOUGH = 2000; // what TCP would buffer of such small requests is endless

  /**
   * Sends reads until neither the socket nor the server takes more, or enough; returns how many.
   */
  private static int sendReadsUntilStuck(NbdClient client, int length) throws IOException {
    client.raw().configureBlocking(false);
    int sent = 0;
    long stuckSince = System.nanoTime();
    ByteBuffer request = NbdClient.request(NbdClient.READ, 0, 0, 0, length, new byte[0]);
    while (sent < ENOUGH && System.nanoTime() - stuckSince < 200_000_000) {
      if (client.raw().write(request) > 0) {
        stuckSince = System.nanoTime();
      }
      if (!request.hasRemaining()) {
        sent++;
        request = NbdClient.request(NbdClient.READ, 0, sent, 0, length, new byte[0]);
      }
    }
    client.raw().configureBlocking(true);
    client.raw().shutdownOutput(); // what is left of the last request never comes
    return sent;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void stopsReadingFromAClientThatReadsNoReplies(boolean tcp) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.missWhen((offset, length) -> length == 65536 && System.nanoTime() % 2 == 0);
    int limit = 2 * MIB;
    try (ServedMemory served = ServedMemory.start(device, o -> o.withReplyBytes(limit));
        NbdClient greedy = served.client(tcp)) {
      greedy.go("");
      long before = NativeMemory.inUseBytes();
      int sent = sendReadsUntilStuck(greedy, 65536);
      assertTrue(sent > 10, "sent " + sent);
      long taken = NativeMemory.inUseBytes() - before;
      assertTrue(taken <= limit, taken + " bytes of replies");
      for (int i = 0; i < 50; i++) {
        stillServes(served, tcp);
      }
      // It may think better of it: everything is answered.
      for (int i = 0; i < sent; i++) {
        greedy.expectRead(i, 65536);
      }
      for (int i = 0; i < sent; i++) {
        assertEquals(0, greedy.receive().error());
      }
    }
  }

  @Test
  void goesOnAtOnceWhenAThrottledClientReads() throws Exception {
    int reads = 200; // of 1/16 of the memory for replies, which is full all the time
    Soon.within(
        4000,
        () -> {
          try (ServedMemory served =
                  ServedMemory.start(new MemoryBlockDevice(MIB), o -> o.withReplyBytes(MIB));
              NbdClient client = served.unix()) {
            client.go("");
            long begin = System.nanoTime();
            for (int round = 0; round < 6; round++) {
              for (int i = 0; i < reads; i++) {
                client.sendRead(0, 65536);
              }
              for (int i = 0; i < reads; i++) {
                assertEquals(0, client.receive().error());
              }
            }
            return System.nanoTime() - begin;
          }
        });
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void keepsNothingOfAPeerThatVanishesWithRepliesUnread(boolean tcp) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      for (int round = 0; round < 5; round++) {
        try (NbdClient greedy = served.client(tcp)) {
          greedy.go("");
          sendReadsUntilStuck(greedy, 65536);
          if (tcp) {
            greedy.raw().setOption(StandardSocketOptions.SO_LINGER, 0); // a reset
          }
        }
      }
      allGone(served);
      stillServes(served, tcp);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void waitsForMissesOfAPeerThatVanished(boolean tcp) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.missWhen((offset, length) -> length == 4096);
    try (ServedMemory served = ServedMemory.start(device)) {
      device.hold();
      for (int round = 1; round <= 5; round++) {
        int underWay = 20 * round;
        try (NbdClient client = served.client(tcp)) {
          client.go("");
          for (int i = 0; i < 20; i++) {
            client.sendRead(0, 4096);
          }
          ServedMemory.eventually("misses", () -> device.outstanding() == underWay);
          if (tcp && round % 2 == 0) {
            client.raw().setOption(StandardSocketOptions.SO_LINGER, 0);
          }
        }
      }
      stillServes(served, tcp);
      device.release();
      allGone(served);
    }
  }

  @Test
  void serves256ConnectionsThatWriteAndReadAtOnce() throws Exception {
    int clients = 256;
    CyclicBarrier allConnected = new CyclicBarrier(clients);
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(clients * 65536L));
        ExecutorService threads = Executors.newFixedThreadPool(clients)) {
      List<Future<?>> results = new ArrayList<>();
      for (int c = 0; c < clients; c++) {
        int number = c;
        results.add(
            threads.submit(() -> {
              try (NbdClient client = served.client(number % 2 == 0)) {
                client.go("");
                allConnected.await();
                byte[] data = new byte[4096];
                new Random(number).nextBytes(data);
                for (int i = 0; i < 16; i++) {
                  client.sendWrite(number * 65536L + i * 4096L, data, false);
                }
                for (int i = 0; i < 16; i++) {
                  assertEquals(0, client.receive().error());
                }
                for (int i = 0; i < 16; i++) {
                  assertArrayEquals(data, client.read(number * 65536L + i * 4096L, 4096));
                }
                return null;
              }
            }));
      }
      for (Future<?> result : results) {
        result.get();
      }
    }
  }

  @Test
  void holdsAThousandConnectionsAndLetsThemGo() throws IOException {
    int clients = 1000;
    List<NbdClient> all = new ArrayList<>();
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      byte[] block = new byte[512];
      for (int i = 0; i < clients; i++) {
        NbdClient client = served.client(i % 2 == 0);
        all.add(client);
        client.go("");
      }
      assertEquals(clients, served.server.connections());
      for (int i = 0; i < clients; i++) {
        block[0] = (byte) i;
        all.get(i).write(i * 512L, block);
        assertArrayEquals(block, all.get(clients - 1 - i).read(i * 512L, 512));
      }
      for (NbdClient client : all) {
        client.close();
      }
      allGone(served);
      stillServes(served, true);
    } finally {
      for (NbdClient client : all) {
        client.close();
      }
    }
  }

  @Test
  void survivesAStormOfConnectionsThatSayNothing() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      for (int i = 0; i < 500; i++) {
        served.client(i % 2 == 0).close();
      }
      allGone(served);
      stillServes(served, true);
    }
  }
}
