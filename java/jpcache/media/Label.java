package jpcache.media;

import static jpcache.media.Layout.U16;
import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U64;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.UUID;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import org.jspecify.annotations.Nullable;

/**
 * Which backing device a cache belongs to. It stands in the first 4 KiB of the cache device, which
 * the kernel neither reads nor writes; the kernel's own caches have none.
 *
 * <pre>
 *   0     4         8       16           32             40       42       44      64         256
 *   +-----+---------+-------+------------+--------------+--------+--------+-------+----------+------+
 *   | crc | version | magic | cache UUID | backing size | length of each  | zeros | identity | path |
 *   +-----+---------+-------+------------+--------------+--------+--------+-------+----------+------+
 * </pre>
 *
 * <p>The crc covers all that follows it up to byte 4096. The UUID's bytes are in the order in which
 * it is printed. The texts are UTF-8, without control characters; what is not used is zero.
 *
 * <p>There is one copy. A power cut while it is written leaves one that {@link #read} refuses, and
 * no data depends on it.
 *
 * @param cache names this cache, apart from any made before it on the same device
 * @param backingBytes the backing device's size
 * @param identity what identifies the backing device wherever it is found: a kind, a colon and a
 *     value ({@code wwid:naa.5000c500a1b2c3d4}); empty if nothing is known that does
 * @param path how it was called when the label was written; empty if that cannot be kept
 */
public record Label(UUID cache, long backingBytes, String identity, String path) {
  /** How a backing device compares with the one that a label names. */
  public enum Match {
    /** Nothing speaks against it. */
    SAME,
    /** The name and the size fit, but it cannot be, or be seen to be, the very same. */
    REPLACED,
    /** It is another one. */
    OTHER
  }

  /** The kind of identity that a file has: a copy of the file has another one. */
  public static final String FILE = "file";

  static final long OFFSET = 0;
  static final int BYTES = 4096;

  /** "jpcache" and a zero, as they lie in memory. */
  static final long MAGIC = 0x0065_6863_6163_706AL;

  static final int VERSION = 1;

  static final int CRC_AT = 0;
  static final int VERSION_AT = 4;
  static final int MAGIC_AT = 8;
  static final int UUID_AT = 16;
  static final int BACKING_BYTES_AT = 32;
  static final int IDENTITY_LENGTH_AT = 40;
  static final int PATH_LENGTH_AT = 42;
  static final int UNUSED_AT = 44;
  static final int IDENTITY_AT = 64;
  static final int PATH_AT = 256;

  /** What has no room, or could play tricks on a terminal, is left out. */
  public Label {
    identity = fits(identity, PATH_AT - IDENTITY_AT) ? identity : "";
    path = fits(path, BYTES - PATH_AT) ? path : "";
  }

  private static boolean fits(String text, int roomBytes) {
    return text.codePoints().noneMatch(c -> Character.isISOControl(c) || c == '\uFFFD')
        && text.getBytes(StandardCharsets.UTF_8).length <= roomBytes;
  }

  /** The label of a new cache. */
  public static Label of(long backingBytes, String identity, String path) {
    return new Label(UUID.randomUUID(), backingBytes, identity, path);
  }

  /** The label of the same cache in front of another backing device. */
  public Label rebound(long newBackingBytes, String newIdentity, String newPath) {
    return new Label(cache, newBackingBytes, newIdentity, newPath);
  }

  /**
   * Compares a backing device with the one named here. Another size is another device, and so is
   * another identity. A file's identity goes when the file is copied or restored, and a device's
   * may be out of sight in a container: there the path decides.
   */
  public Match compare(long otherBytes, String otherIdentity, String otherPath) {
    if (otherBytes != backingBytes) {
      return Match.OTHER;
    }
    if (identity.isEmpty() || identity.equals(otherIdentity)) {
      return Match.SAME;
    }
    boolean known = !kind().equals(FILE) && otherIdentity.startsWith(kind() + ":");
    return !known && path.equals(otherPath) && !path.isEmpty() ? Match.REPLACED : Match.OTHER;
  }

  private String kind() {
    return identity.substring(0, Math.max(0, identity.indexOf(':')));
  }

  /** The backing device in words: path, size, identity. */
  public String backing() {
    return (path.isEmpty() ? "a device whose path is not known" : path)
        + " ("
        + backingBytes
        + " bytes"
        + (identity.isEmpty() ? ")" : ", " + identity + ")");
  }

  /**
   * Reads the label of a cache device.
   *
   * @return null if it has none: there is nothing, or something that is not a label
   * @throws MediaException if it is damaged, or of a later version
   */
  public static @Nullable Label read(MemorySegment media) {
    if (media.byteSize() < BYTES) {
      return null;
    }
    byte[] bytes = new byte[BYTES];
    MemorySegment label = MemorySegment.ofArray(bytes);
    PmemReads.copy(media, OFFSET, label, 0, BYTES);
    if (label.get(U64, MAGIC_AT) != MAGIC) {
      return null;
    }
    int expected = checksum(bytes);
    int actual = label.get(U32, CRC_AT);
    if (actual != expected) {
      throw MediaException.of(
          Kind.BAD_CHECKSUM,
          "label.crc",
          OFFSET,
          "0x" + HexFormat.of().toHexDigits(actual),
          "its contents give 0x" + HexFormat.of().toHexDigits(expected));
    }
    long version = Integer.toUnsignedLong(label.get(U32, VERSION_AT));
    if (version != VERSION) {
      throw MediaException.outOfRange("label.version", OFFSET, version, "only 1 is known");
    }
    return validated(bytes, label);
  }

  private static Label validated(byte[] bytes, MemorySegment label) {
    long backingBytes = label.get(U64, BACKING_BYTES_AT);
    if (backingBytes <= 0 || backingBytes % Layout.SECTOR_BYTES != 0) {
      throw MediaException.outOfRange(
          "label.backing_size", OFFSET, backingBytes, "not the size of a device");
    }
    String identity = text(bytes, label, "identity", IDENTITY_LENGTH_AT, IDENTITY_AT, PATH_AT);
    String path = text(bytes, label, "path", PATH_LENGTH_AT, PATH_AT, BYTES);
    requireZeros(bytes, UNUSED_AT, IDENTITY_AT);
    ByteBuffer uuid = ByteBuffer.wrap(bytes, UUID_AT, 16);
    return new Label(new UUID(uuid.getLong(), uuid.getLong()), backingBytes, identity, path);
  }

  private static String text(
      byte[] bytes, MemorySegment label, String field, int lengthAt, int at, int end) {
    int length = Short.toUnsignedInt(label.get(U16, lengthAt));
    if (length > end - at) {
      throw MediaException.outOfRange(
          "label." + field + "_length", OFFSET, length, "there is room for " + (end - at));
    }
    try {
      String text =
          StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, at, length)).toString();
      if (fits(text, end - at)) {
        requireZeros(bytes, at + length, end);
        return text;
      }
    } catch (CharacterCodingException e) {
      // Told below.
    }
    throw MediaException.of(
        Kind.OUT_OF_RANGE, "label." + field, OFFSET, length + " bytes", "not printable UTF-8");
  }

  private static void requireZeros(byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] != 0) {
        throw MediaException.outOfRange(
            "label.unused", OFFSET, Byte.toUnsignedLong(bytes[i]), "byte " + i + " must be 0");
      }
    }
  }

  /** Writes the label over whatever was there. Durable when this returns. */
  public void write(PmemRegion region) {
    byte[] bytes = new byte[BYTES];
    MemorySegment label = MemorySegment.ofArray(bytes);
    label.set(U32, VERSION_AT, VERSION);
    label.set(U64, MAGIC_AT, MAGIC);
    ByteBuffer.wrap(bytes, UUID_AT, 16)
        .putLong(cache.getMostSignificantBits())
        .putLong(cache.getLeastSignificantBits());
    label.set(U64, BACKING_BYTES_AT, backingBytes);
    put(label, identity, IDENTITY_LENGTH_AT, IDENTITY_AT);
    put(label, path, PATH_LENGTH_AT, PATH_AT);
    label.set(U32, CRC_AT, checksum(bytes));
    persist(region, label);
  }

  private static void put(MemorySegment label, String text, int lengthAt, int at) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    label.set(U16, lengthAt, (short) utf8.length);
    MemorySegment.copy(utf8, 0, label, ValueLayout.JAVA_BYTE, at, utf8.length);
  }

  /** Removes the label, and whatever else stood in its place. Durable when this returns. */
  static void clear(PmemRegion region) {
    persist(region, MemorySegment.ofArray(new byte[BYTES]));
  }

  private static void persist(PmemRegion region, MemorySegment bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(BYTES);
      copy.copyFrom(bytes);
      region.persist(OFFSET, copy.address(), BYTES);
    }
  }

  private static int checksum(byte[] bytes) {
    return new Crc32c().of(bytes, Integer.BYTES, BYTES - Integer.BYTES);
  }
}
