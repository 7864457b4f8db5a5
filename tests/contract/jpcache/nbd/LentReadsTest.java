package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.random.RandomGenerator;
import jpcache.Seeds;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Format;
import jpcache.nbd.NbdClient.Reply;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** Long reads whose data is sent from where the device has it. */
@Timeout(300)
class LentReadsTest {
  private static final int KIB = 1 << 10;
  private static final int DEVICE_BYTES = 64 << 20;
  private static final int READ_BYTES = 128 * KIB;

  /** More than the socket and the client's side of it hold. */
  private static final int MANY = 200;

  private final byte[] content = new byte[DEVICE_BYTES];
  private final MemoryBlockDevice device =
      new MemoryBlockDevice(DEVICE_BYTES).lendWhen((offset, length) -> true);

  LentReadsTest() {
    new Random(1).nextBytes(content);
    MemorySegment.copy(MemorySegment.ofArray(content), 0, device.bytes(), 0, DEVICE_BYTES);
  }

  private byte[] content(long offset, int length) {
    return Arrays.copyOfRange(content, (int) offset, (int) offset + length);
  }

  private static long placeOf(int read) {
    return (long) read * READ_BYTES;
  }

  @ParameterizedTest
  @EnumSource(names = "SIMPLE", mode = Mode.EXCLUDE)
  void aLongReadBorrowsAndAShortOneIsCopied(Format format) throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      int lent = 0;
      for (int length : new int[] {512, 60 * KIB, 64 * KIB, 100 * KIB, 4 << 20, 32 << 20}) {
        assertArrayEquals(content(1024, length), client.read(1024, length));
        lent += length >= 64 * KIB ? 1 : 0;
        assertEquals(lent, device.loansBegun(), length + " bytes");
        ServedMemory.eventually("the loan's end", () -> device.openLoans() == 0);
      }
      assertArrayEquals(
          content(0, READ_BYTES), client.command(0, NbdClient.FLAG_DF, 0, READ_BYTES).data());
    }
  }

  @Test
  void aSimpleReplyCannotSayThatTheMemoryFailedSoItIsCopied() throws IOException {
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("");
      assertArrayEquals(content(0, READ_BYTES), client.read(0, READ_BYTES));
      assertEquals(0, device.loansBegun());
    }
  }

  @ParameterizedTest
  @EnumSource(names = "SIMPLE", mode = Mode.EXCLUDE)
  void aClientThatDoesNotReadKeepsLittleAndNotForLong(Format format) throws IOException {
    try (ServedMemory served =
            ServedMemory.start(device, options -> options.withReplyBytes(64 << 20));
        NbdClient client = served.unix()) {
      client.go("", format);
      for (int i = 0; i < MANY; i++) {
        client.sendRead(placeOf(i), READ_BYTES);
      }
      ServedMemory.eventually("replies that have borrowed", () -> device.loansBegun() > 1);
      ServedMemory.eventually("the loans' end", () -> device.openLoans() == 0);
      for (int i = 0; i < MANY; i++) {
        Reply reply = client.receive();
        assertEquals(i + 1, reply.cookie());
        assertArrayEquals(content(placeOf(i), READ_BYTES), reply.data(), "read " + i);
      }
    }
  }

  /** A device counts a read when it lends. */
  @Test
  void aReadThatWaitsForMemoryToReplyInBorrowsOnce() throws IOException {
    try (ServedMemory served =
            ServedMemory.start(device, options -> options.withReplyBytes(1 << 20));
        NbdClient client = served.unix()) {
      client.go("", Format.STRUCTURED);
      for (int i = 0; i < MANY; i++) {
        client.sendRead(placeOf(i), READ_BYTES);
      }
      for (int i = 0; i < MANY; i++) {
        assertArrayEquals(content(placeOf(i), READ_BYTES), client.receive().data(), "read " + i);
      }
      assertEquals(MANY, device.loansBegun());
    }
  }

  @ParameterizedTest
  @EnumSource(names = "SIMPLE", mode = Mode.EXCLUDE)
  void memoryThatFailsWhileItIsSentFailsItsOwnReadAlone(Format format) throws IOException {
    device.failLoansWhen((offset, length) -> offset / READ_BYTES % 3 == 1);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.unix()) {
      client.go("", format);
      for (int i = 0; i < 12; i++) {
        client.sendRead(placeOf(i), READ_BYTES);
        client.sendRead(placeOf(i), 4 * KIB);
      }
      for (int i = 0; i < 12; i++) {
        Reply reply = client.receive();
        assertEquals(i % 3 == 1 ? Errno.EIO : 0, reply.error(), "read " + i);
        if (i % 3 != 1) {
          assertArrayEquals(content(placeOf(i), READ_BYTES), reply.data(), "read " + i);
        }
        assertArrayEquals(content(placeOf(i), 4 * KIB), client.receive().data());
      }
    }
  }

  @Test
  void loansEndWithTheirClient() throws IOException {
    try (ServedMemory served = ServedMemory.start(device)) {
      for (int round = 0; round < 20; round++) {
        try (NbdClient client = served.unix()) {
          client.go("", Format.STRUCTURED);
          for (int i = 0; i < 20; i++) {
            client.sendRead(placeOf(i), READ_BYTES);
          }
          client.receive();
        }
      }
      ServedMemory.eventually("all queues closed", () -> device.openQueues() == 0);
      ServedMemory.eventually("the loans' end", () -> device.openLoans() == 0);
    }
  }

  /** Lent, copied, missed, failing and short ones, taken now and then. */
  @Test
  void readsOfAllSortsAreAnsweredWithTheirOwnBytes() throws IOException {
    RandomGenerator random = new Random(Seeds.next(LentReadsTest.class));
    device
        .lendWhen((offset, length) -> offset % 7 < 4)
        .failLoansWhen((offset, length) -> offset % 11 == 0)
        .missWhen((offset, length) -> offset % 5 == 0);
    try (ServedMemory served = ServedMemory.start(device);
        NbdClient client = served.client(random.nextBoolean())) {
      client.go("", random.nextBoolean() ? Format.STRUCTURED : Format.EXTENDED);
      Map<Long, Long> offsets = new HashMap<>();
      for (int sent = 0; sent < 2000 || !offsets.isEmpty(); ) {
        if (sent < 2000 && offsets.size() < 40 && (offsets.isEmpty() || random.nextInt(3) > 0)) {
          int length = 512 << random.nextInt(10);
          long offset = random.nextLong((DEVICE_BYTES - length) / 512) * 512;
          offsets.put(client.sendRead(offset, length), offset);
          sent++;
        } else {
          Reply reply = client.receive();
          long offset = Objects.requireNonNull(offsets.remove(reply.cookie()));
          if (reply.error() != 0) {
            assertEquals(Errno.EIO, reply.error());
            assertEquals(0, offset % 11);
          } else {
            assertArrayEquals(content(offset, reply.data().length), reply.data());
          }
        }
      }
    }
  }
}
