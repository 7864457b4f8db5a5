package jpcache.media;

import static jpcache.media.Layout.KEY_BYTES;
import static jpcache.media.Layout.KSET_CRC_AT;
import static jpcache.media.Layout.KSET_FLAGS_AT;
import static jpcache.media.Layout.KSET_FLAG_LAST;
import static jpcache.media.Layout.KSET_HEADER_BYTES;
import static jpcache.media.Layout.KSET_KEY_NUM_AT;
import static jpcache.media.Layout.KSET_MAGIC;
import static jpcache.media.Layout.KSET_MAGIC_AT;
import static jpcache.media.Layout.KSET_MAX_BYTES;
import static jpcache.media.Layout.KSET_MAX_KEYS;
import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U64;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import jpcache.base.Crc32c;
import jpcache.pmem.PmemReads;

/**
 * A key set in ordinary memory: read out of the log to be validated and used, or filled to be
 * written to it.
 *
 * <pre>
 *   0        4         8          16       24          64
 *   +--------+---------+----------+--------+-----------+-----------+--
 *   | crc    | key_num | magic    | flags  | key 0     | key 1     | ... up to 128
 *   +--------+---------+----------+--------+-----------+-----------+--
 *   a key:
 *   0        8     12      16       20        24        32         36         40
 *   +--------+-----+-------+--------+---------+---------+----------+----------+
 *   | off    | len | flags | seg_id | seg_off | seg_gen | data_crc | reserved |
 *   +--------+-----+-------+--------+---------+---------+----------+----------+
 * </pre>
 *
 * A <em>last</em> kset is a header alone, with the next cache segment in place of key_num; its log
 * goes on at the start of that segment.
 *
 * <p>One instance serves one thread at a time.
 *
 * <p>Kernel counterpart: {@code struct pcache_cache_kset_onmedia}, {@code cache_kset_close}.
 */
public final class Kset {
  private static final int KEY_WORDS = KEY_BYTES / Long.BYTES;

  /** As on media. */
  private final MemorySegment bytes = Arena.ofAuto().allocate(KSET_MAX_BYTES, Long.BYTES);

  /**
   * The keys of it, where each access costs an instruction or two: in memory that is not the heap's
   * each would ask whether that is still there.
   */
  private final long[] keys = new long[KSET_MAX_KEYS * KEY_WORDS];

  private final ByteBuffer afterCrc =
      bytes.asSlice(Integer.BYTES).asByteBuffer(); // a crc covers all but itself
  private final Crc32c crc = new Crc32c();
  private int keyCount;

  // ---- reading ----

  /**
   * Reads what stands at a place of the log.
   *
   * @param availableBytes what is left of the segment's data area from there
   * @return whether it is a valid kset (ordinary or last); if not, the log ends there
   */
  boolean read(MemorySegment media, long offsetBytes, int availableBytes) {
    keyCount = 0;
    if (availableBytes < KSET_HEADER_BYTES) {
      return false;
    }
    PmemReads.copy(media, offsetBytes, bytes, 0, KSET_HEADER_BYTES);
    if (bytes.get(U64, KSET_MAGIC_AT) != KSET_MAGIC) {
      return false;
    }
    int count = 0;
    if (!isLast()) {
      count = bytes.get(U32, KSET_KEY_NUM_AT);
      if (count < 1 || count > KSET_MAX_KEYS || sizeBytes(count) > availableBytes) {
        return false;
      }
      PmemReads.copy(
          media,
          offsetBytes + KSET_HEADER_BYTES,
          bytes,
          KSET_HEADER_BYTES,
          (long) count * KEY_BYTES);
    }
    if (bytes.get(U32, KSET_CRC_AT) != checksum(count)) {
      return false;
    }
    MemorySegment.copy(bytes, U64, KSET_HEADER_BYTES, keys, 0, count * KEY_WORDS);
    keyCount = count;
    return true;
  }

  /** Whether zeros stand where a kset's header would: a terminator, which ends a log. */
  static boolean isTerminator(MemorySegment media, long offsetBytes) {
    MemorySegment header = MemorySegment.ofArray(new byte[KSET_HEADER_BYTES]);
    PmemReads.copy(media, offsetBytes, header, 0, KSET_HEADER_BYTES);
    return header.mismatch(MemorySegment.ofArray(new byte[KSET_HEADER_BYTES])) < 0;
  }

  public boolean isLast() {
    return (bytes.get(U64, KSET_FLAGS_AT) & KSET_FLAG_LAST) != 0;
  }

  /** Of a last kset: the cache segment where the log goes on, unsigned and not yet checked. */
  long nextSegment() {
    return Integer.toUnsignedLong(bytes.get(U32, KSET_KEY_NUM_AT));
  }

  public int keyCount() {
    return keyCount;
  }

  public int sizeBytes() {
    return sizeBytes(keyCount);
  }

  /** The size of a kset of so many keys. */
  public static int sizeBytes(int keys) {
    return KSET_HEADER_BYTES + keys * KEY_BYTES;
  }

  /** Logical byte offset. */
  public long keyOffset(int key) {
    return u64(key, Layout.KEY_OFF_AT);
  }

  /** Length in bytes. */
  public int keyLength(int key) {
    return u32(key, Layout.KEY_LEN_AT);
  }

  public int keyFlags(int key) {
    return u32(key, Layout.KEY_FLAGS_AT);
  }

  /** Whether the backing device had the same data when the key was written. */
  public boolean keyIsClean(int key) {
    return (keyFlags(key) & Layout.KEY_FLAG_CLEAN) != 0;
  }

  public int keySegment(int key) {
    return u32(key, Layout.KEY_SEG_ID_AT);
  }

  /** Offset of the data in its segment's data area. */
  public int keySegmentOffset(int key) {
    return u32(key, Layout.KEY_SEG_OFF_AT);
  }

  /** The segment's generation when the data was written, unsigned. */
  public long keyGeneration(int key) {
    return u64(key, Layout.KEY_SEG_GEN_AT);
  }

  /**
   * Whether a key's data is no longer there: its segment, which has this generation now, has been
   * recycled since. The one place of the rule, because generations are unsigned.
   */
  public boolean keyIsStale(int key, long segmentGeneration) {
    return Long.compareUnsigned(keyGeneration(key), segmentGeneration) < 0;
  }

  public int keyDataCrc(int key) {
    return u32(key, Layout.KEY_DATA_CRC_AT);
  }

  // ---- writing ----

  /** Forgets all keys. */
  public void clear() {
    keyCount = 0;
  }

  public boolean isFull() {
    return keyCount == KSET_MAX_KEYS;
  }

  /** Appends a key; there must be room. */
  public void append(
      long offsetBytes,
      int lengthBytes,
      int flags,
      int segment,
      int segmentOffsetBytes,
      long generation,
      int dataCrc) {
    int key = keyCount++;
    put(key, Layout.KEY_OFF_AT, offsetBytes);
    put(key, Layout.KEY_LEN_AT, pair(lengthBytes, flags));
    put(key, Layout.KEY_SEG_ID_AT, pair(segment, segmentOffsetBytes));
    put(key, Layout.KEY_SEG_GEN_AT, generation);
    put(key, Layout.KEY_DATA_CRC_AT, pair(dataCrc, 0));
  }

  /**
   * Completes header and checksum; {@link #sizeBytes} bytes at {@link #address} are then a kset.
   */
  public void seal() {
    MemorySegment.copy(keys, 0, bytes, U64, KSET_HEADER_BYTES, keyCount * KEY_WORDS);
    writeHeader(keyCount, 0, keyCount);
  }

  /** Makes this a last kset: {@link Layout#KSET_HEADER_BYTES} bytes at {@link #address}. */
  public void sealAsLast(int nextSegment) {
    keyCount = 0;
    writeHeader(nextSegment, KSET_FLAG_LAST, 0);
  }

  /** Where the bytes are. */
  public long address() {
    return bytes.address();
  }

  private void writeHeader(int keyNum, long flags, int count) {
    bytes.set(U32, KSET_KEY_NUM_AT, keyNum);
    bytes.set(U64, KSET_MAGIC_AT, KSET_MAGIC);
    bytes.set(U64, KSET_FLAGS_AT, flags);
    bytes.set(U32, KSET_CRC_AT, checksum(count));
  }

  private int checksum(int count) {
    afterCrc.limit(sizeBytes(count) - Integer.BYTES).position(0);
    return crc.of(afterCrc);
  }

  // ---- fields of a key, by their place in it ----

  private long u64(int key, int fieldAt) {
    return keys[key * KEY_WORDS + fieldAt / Long.BYTES];
  }

  private int u32(int key, int fieldAt) {
    return (int) (u64(key, fieldAt) >>> (fieldAt % Long.BYTES * Byte.SIZE));
  }

  private void put(int key, int fieldAt, long value) {
    keys[key * KEY_WORDS + fieldAt / Long.BYTES] = value;
  }

  /** Two fields side by side. */
  private static long pair(int first, int second) {
    return (long) second << Integer.SIZE | Integer.toUnsignedLong(first);
  }
}
