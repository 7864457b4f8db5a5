package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.MemoryBacking;
import jpcache.block.MemoryBlockDevice;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import jpcache.support.LogLines;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * How a connection ends whose thread meets an exception that nobody foresaw, in the middle of a
 * batch. {@link ServedMemory} sees whether anything of it is left.
 */
@Timeout(300)
class NbdFailureTest {
  private static final int MIB = 1 << 20;
  private static final int BLOCK = 512;
  private static final long THROWS_AT = 8 * BLOCK;

  private final MemoryBlockDevice device =
      new MemoryBlockDevice(MIB).throwWhen((offset, length) -> offset == THROWS_AT);

  private static ByteBuffer request(int type, long offset) {
    byte[] payload = new byte[type == NbdClient.WRITE ? BLOCK : 0];
    int length = type == NbdClient.FLUSH ? 0 : BLOCK;
    return NbdClient.request(type, 0, offset + type, offset, length, payload);
  }

  /** Sends requests that arrive together; the last one throws. */
  private static NbdClient fail(ServedMemory served, ByteBuffer... before) throws IOException {
    return fail(served.unix(), request(NbdClient.WRITE, THROWS_AT), before);
  }

  private static NbdClient fail(NbdClient client, ByteBuffer last, ByteBuffer... before)
      throws IOException {
    client.go("");
    ByteBuffer batch = ByteBuffer.allocate(8192);
    List.of(before).forEach(batch::put);
    client.send(batch.put(last).flip());
    return client;
  }

  /** The failure is over: its thread has ended, or waits for what the device still has. */
  private static void awaitFailure(ServedMemory served) {
    ServedMemory.eventually("a closed queue", () -> served.device.openQueues() == 0);
    ServedMemory.eventually(
        "that the thread waits or has ended",
        () ->
            Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().matches("nbd-[0-9]+"))
                .allMatch(thread -> thread.getState() == Thread.State.WAITING));
  }

  @Test
  void theMemoryStaysUntilAWriteThatWaitedBeforeTheFailureHasCompleted() throws IOException {
    device.waitWhen((offset, length) -> offset == 0);
    try (ServedMemory served = ServedMemory.start(device)) {
      device.hold();
      try (NbdClient client = fail(served, request(NbdClient.WRITE, 0))) {
        awaitFailure(served);
        assertEquals(1, served.server.connections());
        device.release();
        assertTrue(client.closedByServer());
      }
    }
  }

  @Test
  void theMemoryStaysUntilAReadBeforeTheFailureHasCompleted() throws IOException {
    device.missWhen((offset, length) -> offset == 0);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      device.hold();
      client.go("");
      client.send(request(NbdClient.READ, 0));
      ServedMemory.eventually("a miss", () -> device.outstanding() == 1);
      client.send(request(NbdClient.WRITE, THROWS_AT));
      awaitFailure(served);
      assertEquals(1, served.server.connections());
      device.release();
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void whateverElseIsInTheBatchTheConnectionEnds() throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client =
            fail(
                served,
                request(NbdClient.WRITE, 0),
                request(NbdClient.FLUSH, 0),
                request(NbdClient.READ, 0),
                request(NbdClient.WRITE_ZEROES, BLOCK),
                request(NbdClient.TRIM, 0))) {
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void ofReadsThatAreHandedOverTogetherOneMayFail() throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client =
            fail(
                served.unix(),
                request(NbdClient.READ, 2 * BLOCK),
                request(NbdClient.READ, 0),
                request(NbdClient.READ, THROWS_AT),
                request(NbdClient.READ, BLOCK))) {
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void othersGoOnAndTheLogHasOneLine() throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient other = served.tcp()) {
      other.go("");
      try (LogLines log = LogLines.of("jpcache.nbd")) {
        try (NbdClient client = fail(served)) {
          assertTrue(client.closedByServer());
        }
        ServedMemory.eventually("the end", () -> served.server.connections() == 1);
        assertEquals(1, log.lines().size(), () -> log.lines().toString());
      }
      assertArrayEquals(new byte[BLOCK], other.read(0, BLOCK));
    }
  }

  @Test
  void aFailureInACacheLeavesNothingBehindEither(@TempDir Path directory) throws IOException {
    Path socket = directory.resolve("nbd.sock");
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
      MemoryBacking backing = new MemoryBacking(new byte[MIB]);
      Cache cache = Cache.open(region, backing, CacheOptions.defaults());
      long bytesBefore = NativeMemory.inUseBytes();
      NbdServer server =
          NbdServer.start(
              NbdServerOptions.defaults().withListen(NbdUri.unix(socket.toString(), "")),
              List.of(Export.of("", cache)));
      try (NbdClient client = NbdClient.unix(socket)) {
        AtomicInteger stores = new AtomicInteger();
        region.watch((offset, length) -> {
          if (stores.incrementAndGet() == 2) {
            throw new IllegalStateException("as the test wants it");
          }
        });
        fail(
            client,
            request(NbdClient.WRITE, THROWS_AT),
            request(NbdClient.WRITE, 0),
            request(NbdClient.FLUSH, 0));
        assertTrue(client.closedByServer());
      } finally {
        assertTrue(server.stop(), "in time");
      }
      cache.close();
      assertEquals(bytesBefore, NativeMemory.inUseBytes());
    }
  }
}
