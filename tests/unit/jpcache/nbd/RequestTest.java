package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RequestTest {
  private static final long SIZE = 64 << 20;

  private static final MemoryBlockDevice DEVICE = new MemoryBlockDevice(SIZE, 4096, false);
  private final long memory = NativeMemory.allocate(64);
  private final Request request = new Request(session(ReplyFormat.SIMPLE, 0, false));

  @AfterEach
  void free() {
    NativeMemory.free(memory, 64);
  }

  @AfterAll
  static void close() {
    DEVICE.close();
  }

  private static Session session(ReplyFormat format, int contexts, boolean readOnly) {
    return new Session(new Export("", "", DEVICE, readOnly), format, contexts);
  }

  private static int error(@Nullable Refusal refusal) {
    return refusal == null ? 0 : refusal.error();
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
    assertTrue(request.has(NbdProtocol.CMD_FLAG_FUA));
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
    "0, 32, 0, 4096, 22", // PAYLOAD_LEN needs extended headers
    "1, 32, 0, 4096, 22",
    "4, 0, 0, 4096, 0",
    "4, 1, 0, 67108864, 0", // a trim carries nothing, and may be as long as the export
    "4, 2, 0, 4096, 22",
    "4, 0, 67108864, 4096, 22", // a trim past the end is not a write past the end
    "4, 0, 0, 512, 22",
    "4, 0, 0, 0, 22",
    "5, 0, 0, 67108864, 0",
    "5, 1, 0, 4096, 0",
    "5, 2, 0, 4096, 22",
    "5, 0, 67104768, 8192, 22",
    "6, 0, 0, 67108864, 0",
    "6, 19, 0, 4096, 0", // FUA, NO_HOLE and FAST_ZERO
    "6, 4, 0, 4096, 22",
    "6, 8, 0, 4096, 22",
    "6, 0, 67104768, 8192, 28", // zeroes past the end are a write past the end
    "7, 0, 0, 4096, 22", // no context was negotiated
    "65535, 0, 0, 4096, 22",
  })
  void judgesARequestByTheProtocolsErrors(
      int type, int flags, long offset, long length, int error) {
    assertTrue(decode(type, flags, offset, length));
    assertEquals(error, error(request.verdict()));
  }

  @ParameterizedTest(name = "type {0} flags {1}: {2}")
  @CsvSource({
    "0, 0, 0", "0, 4, 0", "0, 5, 0", "0, 8, 22", "0, 36, 22", // READ: DF
    "7, 0, 0", "7, 8, 0", "7, 9, 0", "7, 4, 22", "7, 32, 22", // BLOCK_STATUS: REQ_ONE
  })
  void structuredRepliesAllowMore(int type, int flags, int error) {
    Request structured = new Request(session(ReplyFormat.STRUCTURED, 3, false));
    decode(type, flags, 0, 4096);
    structured.decode(memory);
    assertEquals(error, error(structured.verdict()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4, 6})
  void refusesWritesToAReadOnlyExportWhateverTheyAre(int type) {
    Request readOnly = new Request(session(ReplyFormat.SIMPLE, 0, true));
    for (long offset : new long[] {0, SIZE}) {
      decode(type, 0, offset, 4096);
      readOnly.decode(memory);
      assertEquals(Errno.EPERM, error(readOnly.verdict()));
    }
    decode(0, 0, 0, 4096);
    readOnly.decode(memory);
    assertNull(readOnly.verdict());
  }

  // ---- Extended headers --------------------------------------------------------------------

  private Request extended(int type, int flags, long offset, long length) {
    Request wide = new Request(session(ReplyFormat.EXTENDED, 3, false));
    ByteBuffer bytes = NativeMemory.view(memory, 64);
    bytes.putInt(0x21e41c71).putShort((short) flags).putShort((short) type);
    bytes.putLong(77).putLong(offset).putLong(length);
    assertTrue(wide.decode(memory));
    return wide;
  }

  @Test
  void extendedHeadersHaveAMagicOfTheirOwnAndLengthsOf64Bits() {
    Request wide = extended(4, 0, 4096, 0x1122334455667788L);
    assertEquals(77, wide.cookie());
    assertEquals(4096, wide.offset());
    assertEquals(0x1122334455667788L, wide.length());
    assertEquals(0, wide.payloadBytes());
    NativeMemory.netInt(memory, 0x25609513);
    assertFalse(wide.decode(memory));
  }

  @ParameterizedTest(name = "type {0} flags {1} length {2}: {3}, payload {4}")
  @CsvSource({
    "0, 0, 4096, 0, 0",
    "0, 0, 4294971392, 22, 0", // a read of 4 GiB and a block
    "0, 0, -4096, 22, 0",
    "0, 32, 4096, 22, 4096", // the payload has to be read all the same
    "1, 32, 4096, 0, 4096",
    "1, 33, 33554432, 0, 33554432",
    "1, 0, 4096, 22, 0", // a write without a payload
    "3, 32, 0, 22, 0",
    "4, 0, 67108864, 0, 0",
    "4, 0, 4294971392, 22, 0",
    "4, 0, -4096, 22, 0",
    "6, 0, 9223372036854771712, 28, 0",
    "7, 40, 8, 0, 8",
    "7, 32, 16, 0, 16",
    "7, 32, 4, 22, 4",
    "7, 32, 14, 22, 14",
    "7, 32, 20, 22, 20", // more contexts than there are
    "7, 32, -8, 22, -8",
  })
  void judgesExtendedRequestsByTheProtocolsErrors(
      int type, int flags, long length, int error, long payload) {
    Request wide = extended(type, flags, 0, length);
    assertEquals(error, error(wide.verdict()));
    assertEquals(payload, wide.payloadBytes());
  }

  private @Nullable Refusal filter(Request wide, long length, int... ids) {
    ByteBuffer payload = NativeMemory.view(memory + 32, 32).putLong(length);
    for (int id : ids) {
      payload.putInt(id);
    }
    return wide.filter(memory + 32);
  }

  @Test
  void aBlockStatusMayListTheContextsThatItWants() {
    Request wide = extended(7, 32, 4096, 12);
    assertNull(filter(wide, 8192, 2));
    assertEquals(8192, wide.length());
    assertEquals(MetaContext.STATE.bit(), wide.contexts());
    assertNull(filter(extended(7, 32, 4096, 8), 8192));
    assertNull(filter(extended(7, 32, 4096, 16), 8192, 2, 1));
    assertEquals(Refusal.BAD_FILTER, filter(extended(7, 32, 0, 16), 8192, 1, 1));
    assertEquals(Refusal.BAD_FILTER, filter(extended(7, 32, 0, 12), 8192, 0));
    assertEquals(Refusal.BAD_FILTER, filter(extended(7, 32, 0, 12), 8192, 3));
    assertEquals(Refusal.BAD_FILTER, filter(extended(7, 32, 0, 12), 8192, -1));
    assertEquals(Refusal.PAST_END, filter(extended(7, 32, 0, 12), SIZE + 4096, 1));
    assertEquals(Refusal.EMPTY, filter(extended(7, 32, 0, 12), 0, 1));
  }

  @Test
  void sendsOnlyErrorsThatTheProtocolKnows() {
    assertEquals(0, Request.errorOnWire(0, false));
    assertEquals(Errno.ENOSPC, Request.errorOnWire(Errno.ENOSPC, false));
    assertEquals(Errno.ENOSPC, Request.errorOnWire(Errno.EDQUOT, false));
    assertEquals(Errno.EPERM, Request.errorOnWire(Errno.EROFS, false));
    assertEquals(Errno.EIO, Request.errorOnWire(Errno.EFAULT, false));
    assertEquals(Errno.EIO, Request.errorOnWire(9999, false));
    assertEquals(Errno.EIO, Request.errorOnWire(Errno.EOPNOTSUPP, false));
    assertEquals(Errno.EOPNOTSUPP, Request.errorOnWire(Errno.EOPNOTSUPP, true));
    assertEquals(Errno.EIO, Request.errorOnWire(Errno.EOVERFLOW, true));
  }
}
