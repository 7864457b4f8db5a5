package jpcache.process;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import jpcache.base.Crc32c;

/**
 * The two tails of a cache device, read by the words of the format's description and by nothing of
 * jpcache's own reader, so that a mistake in that shows.
 *
 * <pre>
 *   16 KiB: key_tail 0 | key_tail 1 | dirty_tail 0 | dirty_tail 1, 16 bytes each:
 *           u32 crc | u8 seq | u8 version | u16 reserved | u32 cache_seg_id | u32 seg_off
 * </pre>
 */
record TailsOnMedia(String keyTail, String dirtyTail) {
  private static final int CONTROL_AT = 16 << 10;
  private static final int POSITION_BYTES = 16;

  static TailsOnMedia of(Path cache) throws IOException {
    ByteBuffer control = ByteBuffer.allocate(4 * POSITION_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel file = FileChannel.open(cache)) {
      while (control.hasRemaining()) {
        if (file.read(control, CONTROL_AT + control.position()) < 0) {
          throw new IOException(cache + " ends before its cache control");
        }
      }
    }
    return new TailsOnMedia(newest(control, 0), newest(control, 2 * POSITION_BYTES));
  }

  private static String newest(ByteBuffer control, int at) {
    int other = at + POSITION_BYTES;
    boolean first =
        valid(control, at)
            && (!valid(control, other)
                || (byte) (control.get(at + 4) - control.get(other + 4)) > 0);
    int from = first ? at : other;
    if (!valid(control, from)) {
      throw new IllegalArgumentException("neither replica of a tail is valid");
    }
    return control.getInt(from + 8) + ":" + control.getInt(from + 12);
  }

  private static boolean valid(ByteBuffer control, int at) {
    return control.getInt(at) == new Crc32c().of(control.slice(at + 4, POSITION_BYTES - 4));
  }
}
