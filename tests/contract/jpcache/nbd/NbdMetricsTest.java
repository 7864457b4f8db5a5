package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Map;
import jpcache.block.MemoryBlockDevice;
import jpcache.metrics.Registry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Every request is counted once, by kind, wherever it completes. */
@Timeout(300)
class NbdMetricsTest {
  private final MemoryBlockDevice device = new MemoryBlockDevice(1 << 20);
  private final Registry registry = new Registry();

  private static long value(Map<String, Long> values, String name, String kind) {
    return values.getOrDefault("jpcache_nbd_" + name + "{kind=\"" + kind + "\"}", -1L);
  }

  @Test
  void requestsBytesAndTimesAreCountedByKindOnOpenAndClosedConnections() throws IOException {
    try (ServedMemory served = ServedMemory.start(device)) {
      served.server.register(registry);
      try (NbdClient client = served.unix()) {
        client.go("");
        client.write(0, new byte[4096]);
        client.write(4096, new byte[512]);
        client.read(0, 1024);
        counted(1);
        client.disconnect();
      }
      ServedMemory.eventually("the end", () -> served.server.connections() == 0);
      counted(0);
    }
  }

  private void counted(long connections) {
    ServedMemory.eventually(
        "the read's time", () -> value(registry.snapshot(), "request_count", "read") == 1);
    Map<String, Long> values = registry.snapshot();
    assertEquals(connections, values.get("jpcache_nbd_connections"));
    assertEquals(1, values.get("jpcache_nbd_connections_total"));
    assertEquals(2, value(values, "requests_total", "write"));
    assertEquals(4608, value(values, "bytes_total", "write"));
    assertEquals(1, value(values, "requests_total", "read"));
    assertEquals(1024, value(values, "bytes_total", "read"));
    assertEquals(0, value(values, "requests_total", "flush"));
    assertEquals(2, value(values, "request_count", "write"));
    assertEquals(0, value(values, "request_count", "flush"));
  }

  @Test
  void aReadThatCompletesElsewhereCountsWithItsOwnTime() throws IOException {
    device.missWhen((offset, length) -> true);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      served.server.register(registry);
      client.go("");
      device.hold();
      client.sendRead(0, 512);
      ServedMemory.eventually("the miss", () -> device.outstanding() == 1);
      long heldSince = System.nanoTime();
      ServedMemory.eventually("a while", () -> System.nanoTime() - heldSince > 20_000_000);
      assertEquals(0, value(registry.snapshot(), "request_count", "read"));
      device.release();
      client.expectRead(0, 512);
      assertEquals(0, client.receive().error());
      assertEquals(1, value(registry.snapshot(), "request_count", "read"));
      long us = value(registry.snapshot(), "request_max_us", "read");
      assertTrue(us >= 20_000, us + " us");
    }
  }

  @Test
  void aRefusedRequestIsNoError() throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      served.server.register(registry);
      client.go("");
      client.sendRead(1 << 20, 512);
      assertTrue(client.receive().error() != 0);
      Map<String, Long> values = registry.snapshot();
      assertEquals(1, values.get("jpcache_nbd_refused_total"));
      assertEquals(0, value(values, "errors_total", "read"));
      assertEquals(0, value(values, "requests_total", "read"));
    }
  }
}
