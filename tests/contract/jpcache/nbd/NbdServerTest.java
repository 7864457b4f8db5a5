package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Random;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.metrics.Registry;
import jpcache.nbd.NbdClient.Reply;
import jpcache.support.LogLines;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What clients may rely on, over unix sockets (false) and TCP (true). */
@Timeout(300)
class NbdServerTest {
  private static final int MIB = 1 << 20;

  private static byte[] random(int length, long seed) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static byte[] content(MemoryBlockDevice device, long offset, int length) {
    return device.bytes().asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void readsBackWhatWasWritten(boolean tcp) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.client(tcp)) {
      assertEquals(MIB, client.go("").sizeBytes());
      byte[] data = random(512, 1);
      client.write(1024, data);
      assertArrayEquals(data, client.read(1024, 512));
      assertArrayEquals(data, content(served.device, 1024, 512));
      client.flush();
      assertEquals(1, served.device.flushes());
      client.disconnect();
      assertTrue(client.closedByServer());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void carriesTheLargestRequestsWhole(boolean tcp) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(40 * MIB));
        NbdClient client = served.client(tcp)) {
      client.go("");
      byte[] data = random(32 * MIB, 2);
      client.write(4096, data);
      assertArrayEquals(data, client.read(4096, 32 * MIB));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void passesFuaOnToTheDevice(boolean tcp) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.client(tcp)) {
      client.go("");
      client.sendWrite(0, new byte[512], false);
      client.receive();
      assertEquals(0, served.device.fuaWrites());
      client.sendWrite(0, new byte[512], true);
      client.receive();
      assertEquals(1, served.device.fuaWrites());
      assertEquals(0, client.call(NbdClient.READ, NbdClient.FLAG_FUA, 0, 512, new byte[0]).error());
    }
  }

  @Test
  void commitsWhatArrivedTogetherOnce() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.go("");
      java.nio.ByteBuffer batch = java.nio.ByteBuffer.allocate(100 * 540);
      for (int i = 0; i < 100; i++) {
        batch.put(NbdClient.request(NbdClient.WRITE, 0, i, i * 512L, 512, random(512, i)));
      }
      client.send(batch.flip());
      for (int i = 0; i < 100; i++) {
        assertEquals(i, client.receive().cookie());
      }
      assertEquals(1, served.device.commits());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void answersAHitBeforeAMissThatCameEarlier(boolean tcp) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    try (ServedMemory served = ServedMemory.start(device.missWhen((o, n) -> o < 4096));
        NbdClient client = served.client(tcp)) {
      client.go("");
      device.hold();
      long miss = client.sendRead(0, 512);
      long hit = client.sendRead(4096, 512);
      assertEquals(hit, client.receive().cookie());
      device.release();
      assertEquals(miss, client.receive().cookie());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void answersWhatIsUnderWayBeforeItDisconnects(boolean tcp) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    try (ServedMemory served =
            ServedMemory.start(device.missWhen((o, n) -> true).missFlushes(true));
        NbdClient client = served.client(tcp)) {
      client.go("");
      device.hold();
      for (int i = 0; i < 20; i++) {
        client.sendRead(i * 512L, 512);
      }
      client.sendFlush();
      client.sendWrite(0, new byte[512], false);
      client.disconnect();
      ServedMemory.eventually("misses under way", () -> device.outstanding() == 21);
      device.release();
      for (int i = 0; i < 22; i++) {
        assertEquals(0, client.receive().error());
      }
      assertThrows(java.io.EOFException.class, client::receive);
    }
  }

  @Test
  void answersAReadThatFailsWithItsErrorAndNoData() throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.failWhen((o, n) -> o == 512, (o, n) -> o == 1024, Errno.EIO);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("");
      // In one batch between others, so that the run of replies is cut.
      long before = client.sendRead(0, 512);
      long failing = client.sendRead(512, 512);
      long after = client.sendRead(2048, 512);
      assertEquals(before, client.receive().cookie());
      Reply failed = client.receive();
      assertEquals(failing, failed.cookie());
      assertEquals(Errno.EIO, failed.error());
      assertEquals(after, client.receive().cookie());
      assertEquals(Errno.EIO, client.call(NbdClient.WRITE, 0, 1024, 512, new byte[512]).error());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void answersBadRequestsAndStaysInStep(boolean tcp) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB, 4096, false);
    byte[] none = new byte[0];
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.client(tcp)) {
      client.go("");
      assertEquals(Errno.EINVAL, client.call(NbdClient.READ, 0, 512, 4096, none).error());
      assertEquals(Errno.EINVAL, client.call(NbdClient.READ, 0, MIB, 4096, none).error());
      assertEquals(Errno.EINVAL, client.call(NbdClient.READ, 0, 0, 33 * MIB, none).error());
      assertEquals(Errno.EINVAL, client.call(NbdClient.TRIM, 8, 0, 4096, none).error());
      assertEquals(Errno.EINVAL, client.call(99, 0, 0, 4096, none).error());
      assertEquals(
          Errno.ENOSPC, client.call(NbdClient.WRITE, 0, MIB, 4096, new byte[4096]).error());
      assertEquals(Errno.EINVAL, client.call(NbdClient.WRITE, 0, 0, 1000, new byte[1000]).error());
      assertEquals(Errno.EINVAL, client.call(NbdClient.WRITE, 8, 0, 4096, new byte[4096]).error());
      // The payload of a write that is too large is thrown away, and the connection goes on.
      int large = 33 * MIB;
      assertEquals(
          Errno.EINVAL, client.call(NbdClient.WRITE, 0, 0, large, new byte[large]).error());
      byte[] data = random(4096, 3);
      client.write(0, data);
      assertArrayEquals(data, client.read(0, 4096));
    }
  }

  @Test
  void closesOnAWriteBeyondAllReason() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.go("");
      client.sendRequest(NbdClient.WRITE, 0, 0, 0xFFFF0000, new byte[0]);
      assertTrue(client.closedByServer());
    }
  }

  @Test
  void refusesWritesToAReadOnlyDeviceWithoutAskingIt() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB, 512, true));
        NbdClient client = served.unix()) {
      assertTrue(client.go("").readOnly());
      assertEquals(Errno.EPERM, client.call(NbdClient.WRITE, 0, 0, 512, new byte[512]).error());
      assertEquals(512, client.read(0, 512).length);
    }
  }

  @Test
  void offersSeveralExportsByName() throws IOException {
    MemoryBlockDevice one = new MemoryBlockDevice(MIB);
    try (MemoryBlockDevice two = new MemoryBlockDevice(2 * MIB);
        ServedMemory served =
            ServedMemory.start(
                one, o -> o, List.of(Export.of("one", one), Export.of("two", two)))) {
      try (NbdClient client = served.unix()) {
        assertEquals(List.of("one", "two"), client.hello().list());
      }
      try (NbdClient client = served.unix()) {
        assertEquals(2 * MIB, client.go("two").sizeBytes());
        client.write(0, random(512, 9));
      }
      try (NbdClient client = served.tcp()) {
        assertEquals(MIB, client.go("").sizeBytes());
        assertArrayEquals(new byte[512], client.read(0, 512));
      }
      try (NbdClient client = served.tcp()) {
        client.greeting();
        client.clientFlags(0);
        assertEquals(2 * MIB, client.exportName("two").sizeBytes());
        assertArrayEquals(random(512, 9), client.read(0, 512));
      }
      try (NbdClient client = served.tcp()) {
        client.hello().sendOption(NbdClient.OPT_EXPORT_NAME, new byte[] {'3'});
        assertTrue(client.closedByServer());
      }
      try (NbdClient client = served.unix()) {
        assertEquals(
            NbdClient.REP_ACK,
            client.hello().option(NbdClient.OPT_ABORT, new byte[0]).getLast().type());
        assertTrue(client.closedByServer());
      }
    }
  }

  @Test
  void servesARequestThatIsSentTogetherWithExportName() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.hello();
      client.send(
          java.nio.ByteBuffer.allocate(16 + 28)
              .putLong(0x49484156454F5054L)
              .putInt(NbdClient.OPT_EXPORT_NAME)
              .putInt(0)
              .put(NbdClient.request(NbdClient.READ, 0, 5, 0, 512, new byte[0]))
              .flip());
      client.receiveExactly(10);
      client.expectRead(5, 512);
      assertEquals(512, client.receive().data().length);
    }
  }

  @Test
  void endsANegotiationThatTakesTooLong() throws IOException {
    try (ServedMemory served =
            ServedMemory.start(new MemoryBlockDevice(MIB), o -> o.withNegotiationTimeoutMs(50));
        NbdClient silent = served.unix();
        NbdClient slow = served.tcp()) {
      slow.hello();
      assertTrue(silent.closedByServer());
      assertTrue(slow.closedByServer());
    }
  }

  @Test
  void closesConnectionsBeyondTheLimitAndServesTheOthers() throws IOException {
    try (ServedMemory served =
            ServedMemory.start(new MemoryBlockDevice(MIB), o -> o.withMaxConnections(2));
        NbdClient first = served.unix();
        NbdClient second = served.tcp()) {
      first.go("");
      second.go("");
      try (NbdClient third = served.unix()) {
        assertTrue(third.closedByServer());
      }
      first.disconnect();
      ServedMemory.eventually("room for one", () -> served.server.connections() == 1);
      try (NbdClient third = served.unix()) {
        third.go("");
      }
      second.read(0, 512);
    }
  }

  @Test
  void saysOnceThatItIsFullWhomItRefusesAndCountsAll() throws IOException {
    try (LogLines log = LogLines.of("jpcache.nbd");
        ServedMemory served =
            ServedMemory.start(new MemoryBlockDevice(MIB), o -> o.withMaxConnections(1));
        NbdClient first = served.unix()) {
      Registry registry = new Registry();
      served.server.register(registry);
      first.go("");
      for (int i = 0; i < 3; i++) {
        try (NbdClient refused = served.tcp()) {
          assertTrue(refused.closedByServer());
        }
      }
      assertEquals(1, log.lines().size(), () -> log.lines().toString());
      assertTrue(
          log.lines()
              .getFirst()
              .matches(
                  "WARNING refused 127\\.0\\.0\\.1:\\d+: 1 connections are the limit;"
                      + " --max-connections allows more"),
          () -> log.lines().toString());
      Map<String, Long> values = registry.snapshot();
      assertEquals(3, values.get("jpcache_nbd_connections_refused_total"));
    }
  }

  @Test
  void keepsItsUnixSocketToItsOwner() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB))) {
      assertEquals(
          "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(served.socket)));
      assertFalse(served.server.addresses().isEmpty());
    }
  }
}
