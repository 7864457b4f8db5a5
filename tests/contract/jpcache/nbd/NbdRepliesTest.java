package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Extent;
import jpcache.nbd.NbdClient.Format;
import jpcache.nbd.NbdClient.Reply;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every command, answered in each of the three formats that a client may choose. */
@Timeout(300)
class NbdRepliesTest {
  private static final int KIB = 1 << 10;
  private static final int MIB = 1 << 20;
  private static final byte[] NONE = {};
  private static final String[] BOTH = {"base:allocation", "jpcache:state"};

  private static byte[] random(int length, long seed) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static byte[] content(MemoryBlockDevice device) {
    return device.bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  private static int error(NbdClient client, int type, int flags, long offset, long length)
      throws IOException {
    return client.call(type, flags, offset, length, NONE).error();
  }

  @ParameterizedTest
  @EnumSource
  void readsBackWhatWasWritten(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(40 * MIB));
        NbdClient client = served.tcp()) {
      int df = format == Format.SIMPLE ? 0 : 128;
      assertEquals(df, client.go("", format).flags() & 128);
      for (int length : new int[] {512, 4096, 100 * KIB, 32 * MIB}) {
        byte[] data = random(length, length);
        client.write(1024, data);
        assertArrayEquals(data, client.read(1024, length));
      }
      client.flush();
      client.disconnect();
      assertTrue(client.closedByServer());
    }
  }

  @ParameterizedTest
  @EnumSource
  void tellsWhyItRefusesAndStaysInStep(Format format) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB, 4096, false);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      for (int type : new int[] {0, 4, 5, 6, 7, 8, 99}) {
        Reply reply = client.call(type, 0, 512, 4096, NONE);
        assertEquals(Errno.EINVAL, reply.error());
        assertEquals(format == Format.SIMPLE, reply.message().isEmpty());
      }
      byte[] block = random(4096, 1);
      assertEquals(Errno.ENOSPC, client.call(1, 0, MIB, 4096, block).error());
      assertEquals(Errno.EINVAL, client.call(1, 0, 0, 100, new byte[100]).error());
      assertEquals(Errno.EINVAL, error(client, NbdClient.READ, 0, 0, 33 * MIB));
      assertEquals(Errno.EINVAL, error(client, NbdClient.FLUSH, 0, 0, 4096));
      client.write(8192, block);
      assertArrayEquals(block, client.read(8192, 4096));
    }
  }

  @ParameterizedTest
  @EnumSource
  void passesTheDevicesErrorsOn(Format format) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.failWhen((o, n) -> o == 512, (o, n) -> o == 1024, Errno.EIO);
    device.missWhen((o, n) -> o == 4096);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      long before = client.sendRead(0, 512);
      long failing = client.sendRead(512, 512);
      long after = client.sendRead(2048, 512);
      assertEquals(before, client.receive().cookie());
      Reply failed = client.receive();
      assertEquals(failing, failed.cookie());
      assertEquals(Errno.EIO, failed.error());
      assertEquals(format == Format.SIMPLE, failed.message().isEmpty());
      assertEquals(after, client.receive().cookie());
      assertEquals(Errno.EIO, client.call(1, 0, 1024, 512, new byte[512]).error());
      assertEquals(Errno.EIO, error(client, NbdClient.TRIM, 0, 1024, 512));
      assertEquals(Errno.EIO, error(client, NbdClient.CACHE, 0, 512, 512));
      assertEquals(512, client.read(4096, 512).length);
    }
  }

  @Test
  void onlyFastZeroIsToldThatSomethingIsNotSupported() throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.failWhen((o, n) -> false, (o, n) -> true, Errno.EOPNOTSUPP);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("");
      int fast = NbdClient.FLAG_FAST_ZERO;
      assertEquals(Errno.EOPNOTSUPP, error(client, NbdClient.WRITE_ZEROES, fast, 0, 512));
      assertEquals(Errno.EIO, error(client, NbdClient.WRITE_ZEROES, 0, 0, 512));
      assertEquals(Errno.EIO, error(client, NbdClient.TRIM, 0, 0, 512));
    }
  }

  @Test
  void fastZeroIsRefusedWhereItWouldNotBeFastAndNothingIsDone() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB).withSlowZeroes());
        NbdClient client = served.unix()) {
      client.go("");
      byte[] block = random(512, 6);
      client.write(0, block);
      int fast = NbdClient.FLAG_FAST_ZERO;
      assertEquals(Errno.EOPNOTSUPP, error(client, NbdClient.WRITE_ZEROES, fast, 0, 512));
      assertArrayEquals(block, client.read(0, 512));
      client.command(NbdClient.WRITE_ZEROES, 0, 0, 512);
      assertArrayEquals(new byte[512], client.read(0, 512));
    }
  }

  // ---- Zeros -------------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource
  void zeroesWithAndWithoutGivingSpaceUpAndDurablyIfAsked(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(64 * MIB));
        NbdClient client = served.tcp()) {
      client.go("", format);
      byte[] data = random(64 * KIB, 2);
      client.write(0, data);
      client.command(NbdClient.WRITE_ZEROES, 0, 4096, 4096);
      client.command(NbdClient.WRITE_ZEROES, NbdClient.FLAG_NO_HOLE, 8192, 4096);
      client.command(NbdClient.TRIM, 0, 12288, 4096);
      assertEquals(0, served.device.fuaWrites());
      client.command(NbdClient.TRIM, NbdClient.FLAG_FUA, 16384, 4096);
      client.command(NbdClient.WRITE_ZEROES, NbdClient.FLAG_FUA, 20480, 4096);
      assertEquals(2, served.device.fuaWrites());
      Arrays.fill(data, 4096, 24576, (byte) 0);
      assertArrayEquals(data, client.read(0, 64 * KIB));
      // These carry nothing, and so may be longer than the largest block.
      client.command(NbdClient.WRITE_ZEROES, NbdClient.FLAG_FAST_ZERO, 0, 64 * MIB);
      client.command(NbdClient.CACHE, 0, 0, 64 * MIB);
      assertArrayEquals(new byte[64 * MIB], content(served.device));
      assertEquals(1, served.device.prefetches());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"STRUCTURED", "EXTENDED"})
  void sendsNoZerosThatADeviceKnowsOf(Format format) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(4 * MIB);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      client.write(0, random(4 * MIB, 3));
      client.command(NbdClient.TRIM, 0, MIB, 2 * MIB);
      client.command(NbdClient.TRIM, 0, 3 * MIB + 512, 4096); // too short to be a chunk
      byte[] expected = content(device);
      Reply reply = client.command(NbdClient.READ, 0, 0, 4 * MIB);
      assertEquals(1, reply.holes());
      assertArrayEquals(expected, reply.data());
      assertEquals(1, client.command(NbdClient.READ, 0, MIB, MIB).holes());
      Reply unfragmented = client.command(NbdClient.READ, NbdClient.FLAG_DF, 0, 4 * MIB);
      assertEquals(0, unfragmented.holes());
      assertArrayEquals(expected, unfragmented.data());
      assertEquals(0, client.command(NbdClient.READ, 0, MIB, 4096).holes(), "not worth it");
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"STRUCTURED", "EXTENDED"})
  void waitsForAllPiecesOfAReadWithHoles(Format format) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(MIB);
    device.missWhen((o, n) -> o == 0 || o == 512 * KIB);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      client.write(0, random(MIB, 4));
      for (int hole = 1; hole < 8; hole += 2) {
        client.command(NbdClient.TRIM, 0, hole * 128L * KIB, 128 * KIB);
      }
      byte[] expected = content(device);
      device.hold();
      long read = client.sendRequest(NbdClient.READ, 0, 0, MIB, NONE);
      long other = client.sendRead(4096, 512);
      assertEquals(other, client.receive().cookie());
      device.release();
      Reply reply = client.receive();
      assertEquals(read, reply.cookie());
      assertEquals(4, reply.holes());
      assertArrayEquals(expected, reply.data());
      device.failWhen((o, n) -> o == 256 * KIB, (o, n) -> false, Errno.EIO);
      Reply failed = client.call(NbdClient.READ, 0, 0, MIB, NONE);
      assertEquals(Errno.EIO, failed.error());
      assertEquals(0, failed.data().length);
    }
  }

  // ---- Block status ------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource(names = {"STRUCTURED", "EXTENDED"})
  void tellsWhatARangeConsistsOf(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.go("", format, BOTH);
      client.command(NbdClient.TRIM, 0, 64 * KIB, 64 * KIB);
      client.command(NbdClient.WRITE_ZEROES, NbdClient.FLAG_NO_HOLE, 128 * KIB, 64 * KIB);
      Map<Integer, List<Extent>> all =
          client.command(NbdClient.BLOCK_STATUS, 0, 0, 256 * KIB).extents();
      assertEquals(
          Map.of(
              1,
              List.of(
                  new Extent(64 * KIB, 0),
                  new Extent(64 * KIB, 3),
                  new Extent(64 * KIB, 2),
                  new Extent(64 * KIB, 0)),
              2,
              List.of(new Extent(256 * KIB, 0))),
          all);
      Map<Integer, List<Extent>> one =
          client
              .command(NbdClient.BLOCK_STATUS, NbdClient.FLAG_REQ_ONE, 96 * KIB, 64 * KIB)
              .extents();
      assertEquals(List.of(new Extent(32 * KIB, 3)), one.get(1));
      assertEquals(Errno.EINVAL, error(client, NbdClient.BLOCK_STATUS, 0, MIB, 512));
      assertEquals(Errno.EINVAL, error(client, NbdClient.BLOCK_STATUS, 0, 0, MIB + 512));
    }
  }

  @ParameterizedTest
  @EnumSource
  void tellsNothingWithoutAContext(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.go("", format);
      assertEquals(Errno.EINVAL, error(client, NbdClient.BLOCK_STATUS, 0, 0, 512));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"STRUCTURED", "EXTENDED"})
  void aLongStatusIsAnsweredInPartAndCanBeAskedOn(Format format) throws IOException {
    MemoryBlockDevice device = new MemoryBlockDevice(8 * MIB);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format, BOTH);
      for (int block = 0; block < 8 * MIB / 512; block += 2) {
        client.sendRequest(NbdClient.TRIM, 0, block * 512L, 512, NONE);
        assertEquals(0, client.receive().error());
      }
      long at = 0;
      int replies = 0;
      while (at < 8 * MIB) {
        Reply reply = client.command(NbdClient.BLOCK_STATUS, 0, at, 8 * MIB - at);
        List<Extent> extents = Objects.requireNonNull(reply.extents().get(1));
        assertEquals(StatusExtents.MOST_EXTENTS, extents.size());
        for (Extent extent : extents) {
          assertEquals(new Extent(512, at / 512 % 2 == 0 ? 3 : 0), extent);
          at += 512;
        }
        replies++;
      }
      assertEquals(8 * MIB / 512 / StatusExtents.MOST_EXTENTS, replies);
    }
  }

  @Test
  void aPayloadChoosesAmongTheContexts() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      assertTrue((client.go("", Format.EXTENDED, BOTH).flags() & 4096) != 0);
      byte[] one = ByteBuffer.allocate(12).putLong(4096).putInt(2).array();
      assertEquals(Map.of(2, List.of(new Extent(4096, 0))), succeed(client, one).extents());
      assertEquals(Map.of(), succeed(client, Arrays.copyOf(one, 8)).extents());
      byte[] unknown = ByteBuffer.allocate(12).putLong(4096).putInt(9).array();
      Reply refused = client.call(NbdClient.BLOCK_STATUS, 0, 512, 12, unknown);
      assertEquals(Errno.EINVAL, refused.error());
      assertFalse(refused.message().isEmpty());
      assertEquals(512, client.read(0, 512).length);
    }
  }

  private static Reply succeed(NbdClient client, byte[] filter) throws IOException {
    Reply reply = client.call(NbdClient.BLOCK_STATUS, 0, 512, filter.length, filter);
    assertEquals(0, reply.error());
    return reply;
  }

  // ---- Payloads with extended headers ------------------------------------------------------

  @Test
  void readsPayloadsThatNobodyWantsAndClosesOnlyOnTheTooLarge() throws IOException {
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(MIB));
        NbdClient client = served.unix()) {
      client.go("", Format.EXTENDED);
      for (int type : new int[] {0, 3, 4, 5, 6, 99}) {
        byte[] payload = random(5000, type);
        assertEquals(Errno.EINVAL, client.call(type, 0, 0, 5000, payload).error());
      }
      assertEquals(Errno.EINVAL, error(client, NbdClient.WRITE, 0, 0, 4096));
      client.write(0, random(512, 5));
      assertArrayEquals(random(512, 5), client.read(0, 512));
      long tooLarge = (32 << 20) + 512;
      client.sendRequest(NbdClient.WRITE, NbdClient.FLAG_PAYLOAD_LEN, 0, tooLarge, NONE);
      assertTrue(client.closedByServer());
    }
  }
}
