package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import jpcache.block.MemoryBlockDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a connection costs: no allocation for a request, no processor while nothing arrives. */
@Timeout(60)
class NbdCostTest {
  private static final int BATCH = 32;

  private static void roundTrips(NbdClient client, int batches) throws IOException {
    ByteBuffer requests = ByteBuffer.allocate(BATCH / 2 * (28 + 28 + 4096));
    for (int i = 0; i < BATCH; i++) {
      boolean write = i % 2 == 0;
      byte[] payload = new byte[write ? 4096 : 0];
      requests.put(NbdClient.request(write ? 1 : 0, 0, i, i * 4096L, 4096, payload));
    }
    int replyBytes = BATCH * 16 + BATCH / 2 * 4096;
    for (int i = 0; i < batches; i++) {
      client.send(requests.position(0));
      client.receiveExactly(replyBytes);
    }
  }

  private static long allocatedByConnections() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().matches("nbd-\\d+"))
        .mapToLong(thread -> threads.getThreadAllocatedBytes(thread.threadId()))
        .sum();
  }

  @Test
  void servesRequestsWithoutAllocating() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(1 << 20));
        NbdClient client = served.unix()) {
      client.go("");
      int batches = 1000;
      double each = Double.MAX_VALUE;
      // What the interpreter makes, the compiler removes, sooner or later.
      for (int round = 0; round < 30 && each >= 0.5; round++) {
        long before = allocatedByConnections();
        roundTrips(client, batches);
        each = (double) (allocatedByConnections() - before) / batches / BATCH;
      }
      assertTrue(each < 0.5, each + " bytes a request");
    }
  }

  @Test
  void usesNoTimeOfTheProcessorWhileNothingArrives() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(1 << 20));
        NbdClient one = served.unix();
        NbdClient other = served.tcp()) {
      one.go("");
      other.go("");
      roundTrips(one, 10);
      long begin = System.nanoTime();
      long before = processorNanos();
      ServedMemory.eventually("half a second", () -> System.nanoTime() - begin > 500_000_000);
      long used = processorNanos() - before;
      assertTrue(used < 5_000_000, used + " ns of 500 ms");
    }
  }

  private static long processorNanos() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("nbd-"))
        .mapToLong(thread -> threads.getThreadCpuTime(thread.threadId()))
        .sum();
  }
}
