package jpcache.fuzz;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.Set;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.Structure;
import jpcache.pmem.MemoryRegion;

/**
 * A copy of an {@link Image} after an input has been at it. The input is a script, so that
 * mutations of its bytes get past checksums: the first byte chooses the image, and every 12 bytes
 * are one deed.
 *
 * <pre>
 *   0           1      2        4                    12
 *   +-----------+------+--------+--------------------+
 *   | structure | deed | offset | value              |
 *   +-----------+------+--------+--------------------+
 *                 bit 7: leave the checksum as it is
 * </pre>
 *
 * <p>Little-endian; what is too large wraps around. When all deeds are done the checksums of the
 * structures are made to fit, those of ksets over as many keys as they then say they have.
 */
final class Victim implements AutoCloseable {
  private static final int DEED_BYTES = 12;
  private static final int UNSEALED = 0x80;
  private static final int MOST_DEEDS = 64;

  final MediaBuilder media;
  final SegmentBacking backing;
  final MemoryRegion region;
  private final Arena arena = Arena.ofShared();
  private final Image image;

  Victim(byte[] script) {
    ByteBuffer in = ByteBuffer.wrap(script).order(ByteOrder.LITTLE_ENDIAN);
    image = Image.of(in.hasRemaining() ? in.get() & 0xFF : 0);
    media = MediaBuilder.copyOf(image.cache());
    backing = new SegmentBacking(image.mapBacking(arena));
    region = new MemoryRegion(media.media());
    Set<Structure> touched = new LinkedHashSet<>();
    for (int n = 0; n < MOST_DEEDS && in.remaining() >= DEED_BYTES; n++) {
      Structure at = structure(in.get());
      int deed = in.get();
      commit(deed & 7, at, in.getShort() & 0xFFFF, in.getLong());
      if ((deed & UNSEALED) == 0) {
        touched.add(at);
      }
    }
    new ArrayList<>(touched).forEach(this::seal);
  }

  /** The bytes of a deed. */
  static byte[] deed(int structure, int deed, int offset, long value) {
    return ByteBuffer.allocate(DEED_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) structure)
        .put((byte) deed)
        .putShort((short) offset)
        .putLong(value)
        .array();
  }

  private Structure structure(long number) {
    return image.structures().get((int) ((number & 0xFF) % image.structures().size()));
  }

  private void commit(int deed, Structure at, int offset, long value) {
    MemorySegment bytes = media.media().asSlice(at.offsetBytes(), at.sizeBytes());
    switch (deed) {
      case 0, 1, 2, 3 -> {
        int width = 1 << deed;
        int to = Math.min(offset % at.sizeBytes(), at.sizeBytes() - width);
        for (int i = 0; i < width; i++) {
          bytes.set(ValueLayout.JAVA_BYTE, to + i, (byte) (value >>> (8 * i)));
        }
      }
      case 4 -> {
        long to = offset % at.sizeBytes();
        byte old = bytes.get(ValueLayout.JAVA_BYTE, to);
        bytes.set(ValueLayout.JAVA_BYTE, to, (byte) (old ^ (1 << (value & 7))));
      }
      case 5 -> {
        Structure from = structure(value);
        int length = Math.min(at.sizeBytes(), from.sizeBytes());
        byte[] copy =
            media.media().asSlice(from.offsetBytes(), length).toArray(ValueLayout.JAVA_BYTE);
        MemorySegment.copy(copy, 0, bytes, ValueLayout.JAVA_BYTE, 0, length);
      }
      case 6 -> bytes.fill((byte) 0);
      default -> {
        if (isKset(at)) {
          media
              .media()
              .set(JAVA_LONG_UNALIGNED, at.offsetBytes() + Layout.KSET_MAGIC_AT, Layout.KSET_MAGIC);
          media
              .media()
              .set(JAVA_LONG_UNALIGNED, at.offsetBytes() + Layout.KSET_FLAGS_AT, value >>> 32 & 1);
          media.u32(at, Layout.KSET_KEY_NUM_AT, (int) value);
        }
      }
    }
  }

  private static boolean isKset(Structure at) {
    return at.offsetBytes() >= Layout.SEGMENTS_OFFSET
        && (at.offsetBytes() - Layout.SEGMENTS_OFFSET) % Layout.SEGMENT_BYTES
            >= Layout.SEGMENT_BYTES - Layout.SEGMENT_DATA_BYTES;
  }

  private void seal(Structure at) {
    if (!isKset(at)) {
      media.seal(at);
      return;
    }
    int keys = media.media().get(JAVA_INT_UNALIGNED, at.offsetBytes() + Layout.KSET_KEY_NUM_AT);
    long flags = media.media().get(JAVA_LONG_UNALIGNED, at.offsetBytes() + Layout.KSET_FLAGS_AT);
    boolean last = (flags & Layout.KSET_FLAG_LAST) != 0;
    int size = Layout.KSET_HEADER_BYTES;
    if (!last && keys > 0 && keys <= Layout.KSET_MAX_KEYS) {
      size += keys * Layout.KEY_BYTES;
    }
    media.seal(new Structure(at.offsetBytes(), size));
  }

  @Override
  public void close() {
    media.close();
    arena.close();
  }
}
