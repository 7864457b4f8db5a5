package jpcache.nbd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import jpcache.block.MemoryBlockDevice;
import jpcache.fuzz.FuzzTarget;

/** Request headers: what is found good lies inside the device, on its blocks, and may be done. */
public final class RequestFuzz implements FuzzTarget {
  private static final int BLOCK_BYTES = 4096;

  private final MemoryBlockDevice device = new MemoryBlockDevice(64 << 20, BLOCK_BYTES, false);
  private final MemoryBlockDevice locked = new MemoryBlockDevice(1 << 20, 512, true);
  private final Arena arena = Arena.ofShared();
  private final MemorySegment header = arena.allocate(NbdProtocol.REQUEST_HEADER_BYTES, 8);
  private final Request request = new Request();

  @Override
  public void accept(byte[] input) {
    byte[] whole = Arrays.copyOf(input, NbdProtocol.REQUEST_HEADER_BYTES);
    MemorySegment.copy(whole, 0, header, ValueLayout.JAVA_BYTE, 0, whole.length);
    if (!request.decode(header.address())) {
      return;
    }
    for (MemoryBlockDevice d : List.of(device, locked)) {
      if (request.verdict(Export.of("", d)) == 0) {
        judge(d, ByteBuffer.wrap(whole));
      }
    }
  }

  /** Reads the header for itself. */
  private static void judge(MemoryBlockDevice device, ByteBuffer in) {
    int type = in.getShort(6);
    long offset = in.getLong(16);
    long length = Integer.toUnsignedLong(in.getInt(24));
    boolean inside =
        Long.compareUnsigned(offset, device.sizeBytes()) <= 0
            && length <= device.sizeBytes() - offset;
    boolean data = type == NbdProtocol.CMD_READ || type == NbdProtocol.CMD_WRITE;
    if (!inside
        || (data && length > Request.MAX_BYTES)
        || (offset | length) % device.minimumBlockBytes() != 0
        || (type != NbdProtocol.CMD_READ && type != NbdProtocol.CMD_FLUSH && device.readOnly())) {
      throw new AssertionError("found good: type " + type + ", " + length + " at " + offset);
    }
  }

  @Override
  public List<byte[]> seeds() {
    return Stream.of(0, 1, 3, 4, 5, 6, 7)
        .map(type -> NbdClient.request(type, 0, 1, 8192, 4096, new byte[0]).array())
        .toList();
  }

  @Override
  public void close() {
    device.close();
    locked.close();
    arena.close();
  }
}
