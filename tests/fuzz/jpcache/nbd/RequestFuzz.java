package jpcache.nbd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Stream;
import jpcache.block.MemoryBlockDevice;
import jpcache.fuzz.FuzzTarget;

/**
 * Requests: what is found good lies inside the device, on its blocks, and may be done.
 *
 * <pre>
 *   0        1                          28 or 32 later
 *   +--------+-------------------------+----------------------------+
 *   | choice | header of that format   | payload of a BLOCK_STATUS  |
 *   +--------+-------------------------+----------------------------+
 * </pre>
 *
 * The choice is of format (two bits), metadata contexts (two bits) and device (one bit).
 */
public final class RequestFuzz implements FuzzTarget {
  private static final int HEADER_BYTES = NbdProtocol.EXTENDED_REQUEST_HEADER_BYTES;
  private static final int MEMORY_BYTES = HEADER_BYTES + 64;

  private final MemoryBlockDevice open = new MemoryBlockDevice(64 << 20, 4096, false);
  private final MemoryBlockDevice locked = new MemoryBlockDevice(1 << 20, 512, true);
  private final Arena arena = Arena.ofShared();
  private final MemorySegment memory = arena.allocate(MEMORY_BYTES, 8);

  @Override
  public void accept(byte[] input) {
    if (input.length == 0) {
      return;
    }
    ReplyFormat format =
        switch (input[0] & 3) {
          case 0 -> ReplyFormat.SIMPLE;
          case 1 -> ReplyFormat.STRUCTURED;
          default -> ReplyFormat.EXTENDED;
        };
    MemoryBlockDevice device = (input[0] & 16) == 0 ? open : locked;
    int contexts = format.chunked() ? input[0] >> 2 & 3 : 0;
    memory.fill((byte) 0);
    int bytes = Math.min(input.length - 1, MEMORY_BYTES);
    MemorySegment.copy(input, 1, memory, ValueLayout.JAVA_BYTE, 0, bytes);
    Request request = new Request(new Session(Export.of("", device), format, contexts));
    if (!request.decode(memory.address()) || request.verdict() != null) {
      return;
    }
    if (request.type() == NbdProtocol.CMD_BLOCK_STATUS && request.payloadBytes() != 0) {
      if (request.payloadBytes() > MEMORY_BYTES - HEADER_BYTES) {
        throw new AssertionError("a filter of " + request.payloadBytes() + " bytes");
      }
      if (request.filter(memory.address() + format.requestHeaderBytes()) != null) {
        return;
      }
    }
    judge(device, request, contexts);
  }

  private static void judge(MemoryBlockDevice device, Request request, int contexts) {
    int type = request.type();
    long offset = request.offset();
    long length = request.length();
    boolean flush = type == NbdProtocol.CMD_FLUSH;
    boolean inside = offset >= 0 && length >= 0 && offset <= device.sizeBytes() - length;
    boolean data = type == NbdProtocol.CMD_READ || type == NbdProtocol.CMD_WRITE;
    boolean changes =
        type == NbdProtocol.CMD_WRITE
            || type == NbdProtocol.CMD_TRIM
            || type == NbdProtocol.CMD_WRITE_ZEROES;
    if (!inside
        || (length == 0) != flush
        || (data && length > Request.MAX_BYTES)
        || (offset | length) % device.minimumBlockBytes() != 0
        || (changes && device.readOnly())
        || (request.contexts() & ~contexts) != 0) {
      throw new AssertionError("found good: type " + type + ", " + length + " at " + offset);
    }
  }

  @Override
  public List<byte[]> seeds() {
    byte[] none = new byte[0];
    byte[] filter = ByteBuffer.allocate(12).putLong(8192).putInt(2).array();
    NbdClient.Format wide = NbdClient.Format.EXTENDED;
    return Stream.concat(
            Stream.of(0, 1, 3, 4, 5, 6, 7)
                .map(type -> chosen(13, NbdClient.request(type, 0, 1, 8192, 4096, none))),
            Stream.of(
                chosen(14, NbdClient.request(wide, 0, 4, 1, 8192, 4096, none)),
                chosen(14, NbdClient.request(wide, 6, 18, 1, 0, 64 << 20, none)),
                chosen(14, NbdClient.request(wide, 7, 8, 1, 4096, 12, filter))))
        .toList();
  }

  private static byte[] chosen(int choice, ByteBuffer request) {
    byte[] input = new byte[1 + request.remaining()];
    input[0] = (byte) choice;
    request.get(input, 1, request.remaining());
    return input;
  }

  @Override
  public void close() {
    open.close();
    locked.close();
    arena.close();
  }
}
