package jpcache.fuzz;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.LogReplay;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.Structure;

/**
 * The key log, written by the attacker: ksets one behind the other, each as
 *
 * <pre>
 *   0         1          5                 5 + 40 n
 *   +---------+----------+------------------+----
 *   | control | key_num  | keys             | ...
 *   +---------+----------+------------------+----
 *     bit 0: last kset, n = 0, and the next one goes to the segment that key_num names
 *     bit 1: no checksum    bit 2: another magic    bits 4..7: n is so many, not key_num
 *     bit 3: at the end of its segment
 * </pre>
 *
 * <p>Whatever is handed on by the reader lies inside the media and the logical device.
 */
final class LogFuzz implements FuzzTarget {
  private static final int SEGMENTS = MediaBuilder.SMALL_SEGMENTS;
  private static final long LOGICAL_BYTES = 64 << 20;
  private static final int LAST = 1;
  private static final int UNSEALED = 2;
  private static final int OTHER_MAGIC = 4;
  private static final int AT_THE_END = 8;

  @Override
  public void accept(byte[] input) {
    try (MediaBuilder media = MediaBuilder.copyOf(Image.of(0).cache())) {
      write(media, ByteBuffer.wrap(input).order(ByteOrder.LITTLE_ENDIAN));
      boolean _ =
          Judge.refuses(() -> {
            CacheMedia read = CacheMedia.read("cache", media.view());
            LogReplay.Summary summary =
                LogReplay.run(read, LOGICAL_BYTES, (kset, key) -> judge(read, kset, key));
            LogReader reader = new LogReader(read, read.keyTail(), LOGICAL_BYTES);
            long ksets = 0;
            while (reader.next()) {
              ksets += reader.kset().isLast() ? 0 : 1;
            }
            if (ksets != summary.ksets() || !reader.head().equals(summary.head())) {
              throw new AssertionError(ksets + " ksets, replayed " + summary);
            }
          });
    }
  }

  private static void write(MediaBuilder media, ByteBuffer in) {
    int segment = 0;
    int at = 0;
    while (in.remaining() >= 5) {
      int control = in.get();
      int keyNum = in.getInt();
      boolean last = (control & LAST) != 0;
      int keys = last ? 0 : (control & 0xF0) != 0 ? control >> 4 & 0xF : keyNum & 0xFF;
      keys = Math.min(keys, in.remaining() / Layout.KEY_BYTES);
      int size = Layout.KSET_HEADER_BYTES + keys * Layout.KEY_BYTES;
      if ((control & AT_THE_END) != 0) {
        at = Layout.SEGMENT_DATA_BYTES - size;
        media.keyTail(segment, at);
        media.dirtyTail(segment, at);
      }
      if (at + size > Layout.SEGMENT_DATA_BYTES) {
        return;
      }
      Structure kset = MediaBuilder.ksetAt(segment, at, keys);
      put(media.media().asSlice(kset.offsetBytes(), size), control, keyNum, in, keys);
      if ((control & UNSEALED) == 0) {
        media.seal(kset);
      }
      at += size;
      if (last) {
        segment = Math.floorMod(keyNum, SEGMENTS);
        at = 0;
      }
    }
  }

  private static void put(MemorySegment kset, int control, int keyNum, ByteBuffer in, int keys) {
    boolean otherMagic = (control & OTHER_MAGIC) != 0;
    kset.set(JAVA_INT_UNALIGNED, Layout.KSET_KEY_NUM_AT, keyNum);
    kset.set(JAVA_LONG_UNALIGNED, Layout.KSET_MAGIC_AT, otherMagic ? keyNum : Layout.KSET_MAGIC);
    kset.set(JAVA_LONG_UNALIGNED, Layout.KSET_FLAGS_AT, control & LAST);
    byte[] bytes = new byte[keys * Layout.KEY_BYTES];
    in.get(bytes);
    MemorySegment.copy(
        bytes, 0, kset, ValueLayout.JAVA_BYTE, Layout.KSET_HEADER_BYTES, bytes.length);
  }

  private static void judge(CacheMedia media, Kset kset, int key) {
    long off = kset.keyOffset(key);
    long len = kset.keyLength(key);
    long place = kset.keySegmentOffset(key);
    int segment = kset.keySegment(key);
    boolean sound =
        off >= 0
            && len > 0
            && (off | len | place) % Layout.SECTOR_BYTES == 0
            && off <= LOGICAL_BYTES - len
            && off / Layout.SUBTREE_BYTES == (off + len - 1) / Layout.SUBTREE_BYTES
            && place >= 0
            && place <= Layout.SEGMENT_DATA_BYTES - len
            && segment >= 0
            && segment < media.segments().count();
    if (!sound) {
      throw new AssertionError(
          "a key of " + len + " bytes at " + off + ", data at " + segment + ":" + place);
    }
  }

  @Override
  public List<byte[]> seeds() {
    byte[] key = key(4096, 4096, 0, 5, 512);
    return List.of(
        kset(0, 1, key),
        concat(kset(0, 2, key, key(0, 512, 2, 7, 0)), kset(LAST, 4), kset(0, 1, key)),
        concat(kset(0, 1, key), kset(UNSEALED, 1, key)), // a torn end
        concat(kset(LAST, 1), kset(LAST, 2), kset(LAST, 0)), // a cycle
        kset(AT_THE_END | 1 << 4, 128, key), // says more keys than there is room for
        kset(1 << 4, 129, key), // more keys than there may be
        kset(LAST, SEGMENTS), // a segment that is not there
        kset(0, 1, key(4096, 4096, 0, SEGMENTS, 0)),
        kset(0, 1, key(LOGICAL_BYTES, 512, 0, 3, 0)),
        kset(0, 1, key(0, 4096, 0, 3, Layout.SEGMENT_DATA_BYTES - 512)),
        kset(0, 1, key(-512, 1024, 0, 3, 0)));
  }

  private static byte[] kset(int control, int keyNum, byte[]... keys) {
    return ByteBuffer.allocate(5 + keys.length * Layout.KEY_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) control)
        .putInt(keyNum)
        .put(concat(keys))
        .array();
  }

  private static byte[] key(long off, int len, int flags, int segment, int segmentOff) {
    return ByteBuffer.allocate(Layout.KEY_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(off)
        .putInt(len)
        .putInt(flags)
        .putInt(segment)
        .putInt(segmentOff)
        .array();
  }

  private static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }
}
