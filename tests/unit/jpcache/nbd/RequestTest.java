package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RequestTest {
  private static final long SIZE = 64 << 20;

  private static final MemoryBlockDevice DEVICE = new MemoryBlockDevice(SIZE, 4096, false);
  private final long memory = NativeMemory.allocate(64);
  private final Request request = new Request();

  @AfterEach
  void free() {
    NativeMemory.free(memory, 64);
  }

  @AfterAll
  static void close() {
    DEVICE.close();
  }

  private boolean decode(int type, int flags, long offset, long length) {
    ByteBuffer bytes = NbdClient.request(type, flags, 77, offset, (int) length, new byte[0]);
    NativeMemory.view(memory, bytes.remaining()).put(bytes);
    return request.decode(memory);
  }

  @Test
  void readsEveryFieldOfTheHeader() {
    assertTrue(decode(1, 1, 0x1122334455667788L, 0xFEDCBA98L));
    assertEquals(1, request.type());
    assertTrue(request.fua());
    assertEquals(77, request.cookie());
    assertEquals(0x1122334455667788L, request.offset());
    assertEquals(0xFEDCBA98L, request.payloadBytes());
  }

  @Test
  void knowsOnlyOneMagic() {
    decode(0, 0, 0, 4096);
    for (int bit = 0; bit < 32; bit++) {
      NativeMemory.netInt(memory, 0x25609513 ^ 1 << bit);
      assertFalse(request.decode(memory), "bit " + bit);
    }
  }

  @ParameterizedTest(name = "type {0} flags {1} offset {2} length {3}: {4}")
  @CsvSource({
    "0, 0, 0, 4096, 0",
    "0, 1, 0, 4096, 0", // FUA is allowed with every command
    "0, 0, 67104768, 4096, 0", // the last block
    "0, 0, 0, 33554432, 0", // the largest
    "0, 0, 0, 33558528, 22",
    "0, 0, 0, 4294963200, 22",
    "0, 0, 0, 2147483648, 22",
    "0, 0, 0, 0, 22",
    "0, 0, 512, 4096, 22",
    "0, 0, 4096, 512, 22",
    "0, 0, 67108864, 4096, 22", // a read past the end
    "0, 0, 67104768, 8192, 22",
    "0, 0, -4096, 4096, 22",
    "0, 0, 9223372036854771712, 4096, 22",
    "0, 2, 0, 4096, 22",
    "0, 4, 0, 4096, 22",
    "0, 32768, 0, 4096, 22",
    "1, 0, 0, 4096, 0",
    "1, 1, 0, 4096, 0",
    "1, 3, 0, 4096, 22",
    "1, 0, 67108864, 4096, 28", // a write past the end
    "1, 0, 67104768, 8192, 28",
    "1, 0, -4096, 4096, 28",
    "1, 0, 0, 33558528, 22",
    "1, 0, 0, 0, 22",
    "1, 0, 100, 4096, 22",
    "3, 0, 0, 0, 0",
    "3, 1, 0, 0, 0",
    "3, 0, 4096, 0, 22",
    "3, 0, 0, 4096, 22",
    "3, 2, 0, 0, 22",
    "4, 0, 0, 4096, 22", // TRIM is not offered
    "5, 0, 0, 4096, 22",
    "6, 0, 0, 4096, 22",
    "7, 0, 0, 4096, 22",
    "65535, 0, 0, 4096, 22",
  })
  void judgesARequestByTheProtocolsErrors(
      int type, int flags, long offset, long length, int error) {
    assertTrue(decode(type, flags, offset, length));
    assertEquals(error, request.verdict(Export.of("", DEVICE)));
  }

  @Test
  void refusesWritesToAReadOnlyExportWhateverTheyAre() {
    Export export = new Export("", "", DEVICE, true);
    decode(1, 0, 0, 4096);
    assertEquals(Errno.EPERM, request.verdict(export));
    decode(1, 0, SIZE, 4096);
    assertEquals(Errno.EPERM, request.verdict(export));
    decode(0, 0, 0, 4096);
    assertEquals(0, request.verdict(export));
    decode(3, 0, 0, 0);
    assertEquals(0, request.verdict(export));
  }

  @Test
  void sendsOnlyErrorsThatTheProtocolKnows() {
    assertEquals(0, Request.errorOnWire(0));
    assertEquals(Errno.ENOSPC, Request.errorOnWire(Errno.ENOSPC));
    assertEquals(Errno.EPERM, Request.errorOnWire(Errno.EROFS));
    assertEquals(Errno.EIO, Request.errorOnWire(Errno.EFAULT));
    assertEquals(Errno.EIO, Request.errorOnWire(9999));
  }
}
