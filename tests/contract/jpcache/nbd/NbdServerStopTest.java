package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Reply;
import jpcache.support.Soon;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How a server ends. */
@Timeout(300)
class NbdServerStopTest {
  private static final int MIB = 1 << 20;
  private static final int BLOCKS = 256;

  /** Writes blocks until it is refused or the connection ends; what was acknowledged stays. */
  private static Map<Integer, byte[]> writeUntilTheEnd(
      ServedMemory served, int part, CountDownLatch going, List<Integer> errors)
      throws IOException {
    Map<Integer, byte[]> acknowledged = new HashMap<>();
    Map<Long, Integer> blockOf = new HashMap<>();
    Map<Integer, byte[]> dataOf = new HashMap<>();
    Random random = new Random(part);
    try (NbdClient client = served.client(part % 2 == 0)) {
      client.go("");
      while (true) {
        while (blockOf.size() < 32) {
          int block = random.nextInt(BLOCKS);
          if (!dataOf.containsKey(block)) {
            byte[] data = new byte[4096];
            random.nextBytes(data);
            acknowledged.remove(block); // undecided while it is under way
            dataOf.put(block, data);
            blockOf.put(client.sendWrite((part * BLOCKS + block) * 4096L, data, false), block);
          }
        }
        Reply reply = client.receive();
        int block = Objects.requireNonNull(blockOf.remove(reply.cookie()));
        byte[] data = Objects.requireNonNull(dataOf.remove(block));
        if (reply.error() != 0) {
          synchronized (errors) {
            errors.add(reply.error());
          }
          continue;
        }
        acknowledged.put(block, data);
        going.countDown();
      }
    } catch (IOException e) {
      return acknowledged; // the end
    }
  }

  @Test
  void stopsUnderLoadInTimeWithAllThatItAcknowledged() throws Exception {
    int clients = 6;
    MemoryBlockDevice device = new MemoryBlockDevice((long) clients * BLOCKS * 4096);
    List<Integer> errors = new ArrayList<>();
    try (ServedMemory served = ServedMemory.start(device);
        ExecutorService threads = Executors.newFixedThreadPool(clients)) {
      CountDownLatch going = new CountDownLatch(2000);
      List<Future<Map<Integer, byte[]>>> results = new ArrayList<>();
      for (int i = 0; i < clients; i++) {
        int part = i;
        results.add(threads.submit(() -> writeUntilTheEnd(served, part, going, errors)));
      }
      going.await();
      assertTrue(served.server.stop(), "in time");
      for (int part = 0; part < clients; part++) {
        for (Map.Entry<Integer, byte[]> entry : results.get(part).get().entrySet()) {
          long offset = (part * BLOCKS + entry.getKey()) * 4096L;
          assertArrayEquals(
              entry.getValue(),
              device.bytes().asSlice(offset, 4096).toArray(ValueLayout.JAVA_BYTE));
        }
      }
      synchronized (errors) {
        assertTrue(errors.stream().allMatch(e -> e == Errno.ESHUTDOWN), errors.toString());
      }
    }
  }

  @Test
  void answersWhatIsUnderWayAndRefusesWhatComesAfter() throws Exception {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.missWhen((offset, length) -> offset == 0);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix();
        ExecutorService threads = Executors.newFixedThreadPool(1)) {
      client.go("");
      device.hold();
      long miss = client.sendRead(0, 512);
      ServedMemory.eventually("a miss", () -> device.outstanding() == 1);
      Future<Boolean> stop = threads.submit(served.server::stop);
      ServedMemory.eventually(
          "a refusal",
          () -> {
            try {
              long late = client.sendRead(512, 512);
              Reply reply = client.receive();
              assertEquals(late, reply.cookie());
              return reply.error() == Errno.ESHUTDOWN;
            } catch (IOException e) {
              throw new AssertionError(e);
            }
          });
      ServedMemory.eventually("nobody listens", () -> !connects(served));
      device.release();
      Reply answer = client.receive();
      assertEquals(miss, answer.cookie());
      assertEquals(0, answer.error());
      assertThrows(java.io.EOFException.class, client::receive);
      assertTrue(stop.get());
    }
  }

  private static boolean connects(ServedMemory served) {
    try (NbdClient _ = served.unix()) {
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void closesIdleClientsAndNegotiationsAtOnce() throws Exception {
    Soon.within(
        1000,
        () -> {
          try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
              NbdClient idle = served.unix();
              NbdClient negotiating = served.tcp()) {
            idle.go("");
            negotiating.hello();
            long took = served.stopNanos();
            assertTrue(idle.closedByServer());
            assertTrue(negotiating.closedByServer());
            return took;
          }
        });
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void doesNotWaitForANegotiationThatDoesNotRead(boolean tcp) throws Exception {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    List<Export> exports =
        IntStream.range(0, 60)
            .mapToObj(i -> new Export("export " + i, "x".repeat(4000), device, false))
            .toList();
    Soon.within(
        1000,
        () -> {
          try (ServedMemory served = ServedMemory.start(device, options -> options, exports);
              NbdClient client = served.client(tcp).hello()) {
            for (int i = 0; i < 64; i++) {
              client.sendOption(NbdClient.OPT_LIST, new byte[0]);
            }
            ServedMemory.eventually("the server waits", NbdServerStopTest::anAnswerWaits);
            return served.stopNanos();
          }
        });
  }

  /** Whether a connection's thread waits until its client reads. */
  private static boolean anAnswerWaits() {
    return Thread.getAllStackTraces().values().stream()
        .map(stack -> Arrays.stream(stack).map(StackTraceElement::getMethodName).toList())
        .anyMatch(methods -> methods.contains("sendAll") && methods.contains("await"));
  }

  @Test
  void doesNotWaitForANegotiationThatGoesOnByteByByte() throws Exception {
    ByteBuffer options = ByteBuffer.allocate(60 * 60_016);
    while (options.hasRemaining()) {
      options.putLong(0x49484156454F5054L).putInt(99).putInt(60_000).put(new byte[60_000]);
    }
    options.rewind();
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix().hello()) {
      Thread slow =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  while (options.hasRemaining()) {
                    client.send(ByteBuffer.wrap(new byte[] {options.get()}));
                  }
                } catch (IOException e) {
                  // The end.
                }
              });
      ServedMemory.eventually("it has begun", () -> options.position() > 100);
      assertTrue(served.server.stop());
      slow.join();
      assertTrue(options.hasRemaining());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aClientThatLeavesIsNotKeptByWhatItHasAskedForEarly(boolean politely) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB).missWhen((offset, length) -> true);
    try (ServedMemory served = ServedMemory.start(device)) {
      device.hold();
      try (NbdClient client = served.unix()) {
        client.go("");
        client.send(NbdClient.request(NbdClient.CACHE, 0, 7, 0, MIB, new byte[0]));
        ServedMemory.eventually("a prefetch", () -> device.outstanding() == 1);
        if (politely) {
          client.send(NbdClient.request(NbdClient.DISC, 0, 8, 0, 0, new byte[0]));
          assertEquals(0, client.receive().error());
        }
      }
      ServedMemory.eventually("the end", () -> served.server.connections() == 0);
      assertEquals(1, device.outstanding());
      device.release();
    }
  }

  @Test
  void saysSoWhenRequestsDoNotEndInTime() throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.missWhen((offset, length) -> true);
    try (ServedMemory served = ServedMemory.start(device, o -> o.withStopTimeoutMs(200));
        NbdClient client = served.unix()) {
      client.go("");
      device.hold();
      client.sendRead(0, 512);
      ServedMemory.eventually("a miss", () -> device.outstanding() == 1);
      assertFalse(served.server.stop());
      device.release();
      ServedMemory.eventually("the end", served.server::stop);
    }
  }

  @Test
  void aStopThatIsInterruptedSaysNothingIsLeftOnlyOnceNobodyAccepts() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      Thread.currentThread().interrupt();
      boolean ended = served.server.stop();
      boolean accepts = accepts();
      assertTrue(Thread.interrupted());
      assertFalse(ended && accepts);
      assertTrue(served.server.stop());
      assertFalse(accepts());
    }
  }

  private static boolean accepts() {
    return Arrays.stream(Thread.getAllStackTraces().keySet().toArray(new Thread[0]))
        .anyMatch(thread -> thread.getName().equals("nbd-accept"));
  }

  @Test
  void stopsAServerThatNobodyUsed() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      assertTrue(served.server.stop());
      assertTrue(served.server.stop());
      assertEquals(0, served.server.connections());
      assertFalse(accepts());
    }
  }
}
