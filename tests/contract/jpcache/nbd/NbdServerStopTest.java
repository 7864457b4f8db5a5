package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
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
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Reply;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How a server ends. */
@Timeout(60)
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
      long begin = System.nanoTime();
      assertTrue(served.server.stop());
      long tookMs = (System.nanoTime() - begin) / 1_000_000;
      assertTrue(tookMs < 5000, tookMs + " ms");
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
  void closesIdleClientsAndNegotiationsAtOnce() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient idle = served.unix();
        NbdClient negotiating = served.tcp()) {
      idle.go("");
      negotiating.hello();
      long begin = System.nanoTime();
      assertTrue(served.server.stop());
      assertTrue(System.nanoTime() - begin < 1_000_000_000L);
      assertTrue(idle.closedByServer());
      assertTrue(negotiating.closedByServer());
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
  void stopsAServerThatNobodyUsed() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      assertTrue(served.server.stop());
      assertTrue(served.server.stop());
      assertEquals(0, served.server.connections());
      assertTrue(
          Arrays.stream(Thread.getAllStackTraces().keySet().toArray(new Thread[0]))
              .noneMatch(thread -> thread.getName().equals("nbd-accept")));
    }
  }
}
