package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Format;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a connection costs: no allocation for a request, no processor while nothing arrives. */
@Timeout(300)
class NbdCostTest {
  private static final int BATCH = 32;

  private static void roundTrips(NbdClient client, Format format, int batches) throws IOException {
    ByteBuffer requests = ByteBuffer.allocate(BATCH / 2 * (32 + 32 + 4096));
    for (int i = 0; i < BATCH; i++) {
      boolean write = i % 2 == 0;
      byte[] payload = new byte[write ? 4096 : 0];
      requests.put(NbdClient.request(format, write ? 1 : 0, 0, i, i * 4096L, 4096, payload));
    }
    requests.flip();
    int replyBytes =
        BATCH
            / 2
            * switch (format) {
              case SIMPLE -> 16 + 16 + 4096;
              case STRUCTURED -> 16 + 28 + 4096;
              case EXTENDED -> 32 + 40 + 4096;
            };
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

  @ParameterizedTest
  @EnumSource
  void servesRequestsWithoutAllocating(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(1 << 20));
        NbdClient client = served.unix()) {
      client.go("", format);
      int batches = 1000;
      double each = Double.MAX_VALUE;
      // What the interpreter makes, the compiler removes, sooner or later.
      for (int round = 0; round < 100 && each >= 0.5; round++) {
        long before = allocatedByConnections();
        roundTrips(client, format, batches);
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
      roundTrips(one, Format.SIMPLE, 10);
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
