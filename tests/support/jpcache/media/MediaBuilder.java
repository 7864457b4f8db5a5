package jpcache.media;

import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U64;
import static jpcache.media.Layout.U8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import jpcache.base.Crc32c;

/**
 * Makes cache devices of any content, sound or forged, structure by structure. Starts as an empty
 * cache of all segments, as the kernel's format leaves it, in a sparse file that is mapped: what
 * the builder stores is in the file at once.
 */
public final class MediaBuilder implements AutoCloseable {
  /** The least device there is, and how many segments it has. */
  public static final long SMALL_BYTES = Layout.MIN_DEVICE_BYTES;

  public static final int SMALL_SEGMENTS = 31;

  /** Write-back, 70 % GC, no data crc, initialised. */
  public static final int FLAGS = 0x1182;

  /** A structure on the device: its checksum is its first four bytes and covers the others. */
  public record Structure(long offsetBytes, int sizeBytes) {}

  /** A key, all fields as on media. */
  public record LogKey(
      long off, int len, int flags, int segment, int segmentOff, long generation, int dataCrc) {
    public static LogKey of(long off, int len, int segment, int segmentOff) {
      return new LogKey(off, len, 0, segment, segmentOff, 0, 0);
    }
  }

  private final Arena arena = Arena.ofShared();
  private final MemorySegment media;
  private final Crc32c crc = new Crc32c();
  private final Kset encoder = new Kset();

  /** Maps an existing file as it is; what is stored goes to the file or, privately, nowhere. */
  public static MediaBuilder open(Path file, boolean intoFile) {
    return new MediaBuilder(file, -1, intoFile ? MapMode.READ_WRITE : MapMode.PRIVATE);
  }

  /** Maps an open file privately: what is stored goes nowhere. The file may be gone by name. */
  public static MediaBuilder copyOf(FileChannel file) {
    return new MediaBuilder(file, -1, MapMode.PRIVATE);
  }

  /** Makes a file with an empty cache. */
  public static MediaBuilder create(Path file, long sizeBytes) {
    MediaBuilder builder = new MediaBuilder(file, sizeBytes, MapMode.READ_WRITE);
    int segments = (int) Math.min(Layout.segmentsIn(sizeBytes), Layout.MAX_SEGMENTS);
    builder.metadata(segments, segments);
    return builder;
  }

  /** Makes a file of zeros. */
  public static MediaBuilder createEmpty(Path file, long sizeBytes) {
    return new MediaBuilder(file, sizeBytes, MapMode.READ_WRITE);
  }

  private MediaBuilder(Path file, long sizeBytes, MapMode mode) {
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            sizeBytes < 0 ? StandardOpenOption.READ : StandardOpenOption.CREATE_NEW)) {
      media = map(channel, sizeBytes, mode);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private MediaBuilder(FileChannel file, long sizeBytes, MapMode mode) {
    media = map(file, sizeBytes, mode);
  }

  private MemorySegment map(FileChannel file, long sizeBytes, MapMode mode) {
    try {
      // Mapping more than a file has extends it, sparsely.
      return file.map(mode, 0, sizeBytes < 0 ? file.size() : sizeBytes, arena);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The whole metadata of an empty cache; segment infos only for the first {@code infos}. */
  public void metadata(int segments, int infos) {
    superblock(0, Layout.SUPERBLOCK_MAGIC, segments);
    cacheInfo(0, segments, FLAGS);
    tail(keyTailAt(0), 1, 0, 0);
    tail(dirtyTailAt(0), 1, 0, 0);
    for (int segment = 0; segment < infos; segment++) {
      boolean last = segment == segments - 1;
      segmentInfo(segment, last ? 2 : 3, last ? 0 : segment + 1);
      generation(segment, 0);
    }
  }

  // ---- places ----

  public static Structure superblockAt() {
    return new Structure(Layout.SUPERBLOCK_OFFSET, Layout.SUPERBLOCK_BYTES);
  }

  public static Structure cacheInfoAt(int replica) {
    return new Structure(
        Layout.CACHE_INFO_OFFSET + (long) replica * Layout.REPLICA_STRIDE_BYTES,
        Layout.CACHE_INFO_BYTES);
  }

  public static Structure keyTailAt(int replica) {
    return new Structure(
        Layout.KEY_TAIL_OFFSET + (long) replica * Layout.POSITION_BYTES, Layout.POSITION_BYTES);
  }

  public static Structure dirtyTailAt(int replica) {
    return new Structure(
        Layout.DIRTY_TAIL_OFFSET + (long) replica * Layout.POSITION_BYTES, Layout.POSITION_BYTES);
  }

  public static Structure segmentInfoAt(int deviceSegment, int replica) {
    return new Structure(
        Layout.segmentOffset(deviceSegment) + (long) replica * Layout.REPLICA_STRIDE_BYTES,
        Layout.SEGMENT_INFO_BYTES);
  }

  public static Structure generationAt(int deviceSegment, int replica) {
    return new Structure(
        Layout.segmentOffset(deviceSegment)
            + Layout.SEGMENT_CONTROL_AT
            + (long) replica * Layout.GENERATION_BYTES,
        Layout.GENERATION_BYTES);
  }

  /** A kset of so many keys; 0 for a last kset. */
  public static Structure ksetAt(int deviceSegment, int offsetBytes, int keys) {
    return new Structure(dataOffset(deviceSegment) + offsetBytes, Kset.sizeBytes(keys));
  }

  /** Where a device segment's data area begins. */
  public static long dataOffset(int deviceSegment) {
    return Layout.dataOffset(deviceSegment);
  }

  /** Where key {@code key} of a kset is. */
  public static long keyOffset(Structure kset, int key) {
    return kset.offsetBytes() + Kset.sizeBytes(key);
  }

  // ---- whole structures ----

  public void superblock(int flags, long magic, int segments) {
    Structure at = superblockAt();
    u32(at, Layout.SB_FLAGS_AT, flags);
    media.set(U64, at.offsetBytes() + Layout.SB_MAGIC_AT, magic);
    u32(at, Layout.SB_SEG_NUM_AT, segments);
    seal(at);
  }

  /** As the kernel's format does: in slot 1. */
  public void cacheInfo(int segId, int nSegs, int flags) {
    Structure at = cacheInfoAt(1);
    media.set(U8, at.offsetBytes() + Layout.META_SEQ_AT, (byte) 1);
    u32(at, Layout.CACHE_INFO_SEG_ID_AT, segId);
    u32(at, Layout.CACHE_INFO_N_SEGS_AT, nSegs);
    u32(at, Layout.CACHE_INFO_FLAGS_AT, flags);
    seal(at);
  }

  public void keyTail(int segment, int offsetBytes) {
    tail(keyTailAt(0), 1, segment, offsetBytes);
  }

  public void dirtyTail(int segment, int offsetBytes) {
    tail(dirtyTailAt(0), 1, segment, offsetBytes);
  }

  /** A position with any seq, in any replica. */
  public void tail(Structure at, int seq, int segment, int offsetBytes) {
    media.set(U8, at.offsetBytes() + Layout.META_SEQ_AT, (byte) seq);
    u32(at, Layout.POSITION_SEG_ID_AT, segment);
    u32(at, Layout.POSITION_SEG_OFF_AT, offsetBytes);
    seal(at);
  }

  /** In slot 1. */
  public void segmentInfo(int deviceSegment, int flags, int next) {
    Structure at = segmentInfoAt(deviceSegment, 1);
    media.set(U8, at.offsetBytes() + Layout.META_SEQ_AT, (byte) 1);
    u32(at, Layout.SEGMENT_INFO_FLAGS_AT, flags);
    u32(at, Layout.SEGMENT_INFO_NEXT_AT, next);
    seal(at);
  }

  /** In slot 1. */
  public void generation(int deviceSegment, long generation) {
    Structure at = generationAt(deviceSegment, 1);
    media.set(U8, at.offsetBytes() + Layout.META_SEQ_AT, (byte) 1);
    media.set(U64, at.offsetBytes() + Layout.GENERATION_GEN_AT, generation);
    seal(at);
  }

  /** A kset, where it is and with any keys; the log goes on at its end. */
  public Structure kset(int deviceSegment, int offsetBytes, LogKey... keys) {
    encoder.clear();
    for (LogKey key : keys) {
      encoder.append(
          key.off(),
          key.len(),
          key.flags(),
          key.segment(),
          key.segmentOff(),
          key.generation(),
          key.dataCrc());
    }
    encoder.seal();
    return store(ksetAt(deviceSegment, offsetBytes, keys.length));
  }

  public Structure lastKset(int deviceSegment, int offsetBytes, int nextCacheSegment) {
    encoder.sealAsLast(nextCacheSegment);
    return store(ksetAt(deviceSegment, offsetBytes, 0));
  }

  private Structure store(Structure at) {
    MemorySegment bytes = MemorySegment.ofAddress(encoder.address()).reinterpret(at.sizeBytes());
    MemorySegment.copy(bytes, 0, media, at.offsetBytes(), at.sizeBytes());
    return at;
  }

  // ---- forging ----

  /** Stores a u32 and leaves the checksum as it is. */
  public void u32(Structure at, long fieldAt, int value) {
    media.set(U32, at.offsetBytes() + fieldAt, value);
  }

  /** Stores a u32 and makes the checksum fit. */
  public void forgeU32(Structure at, long fieldAt, int value) {
    u32(at, fieldAt, value);
    seal(at);
  }

  /** Stores a u64 and makes the checksum fit. */
  public void forgeU64(Structure at, long fieldAt, long value) {
    media.set(U64, at.offsetBytes() + fieldAt, value);
    seal(at);
  }

  /** Makes the checksum fit whatever the structure holds. */
  public void seal(Structure at) {
    byte[] covered = new byte[at.sizeBytes() - Integer.BYTES];
    MemorySegment.copy(media, U8, at.offsetBytes() + Integer.BYTES, covered, 0, covered.length);
    media.set(U32, at.offsetBytes(), crc.of(covered, 0, covered.length));
  }

  /** Makes the checksum wrong. */
  public void breakSeal(Structure at) {
    media.set(U32, at.offsetBytes(), ~media.get(U32, at.offsetBytes()));
  }

  /** The device's bytes, to store into. */
  public MemorySegment media() {
    return media;
  }

  /**
   * The device's bytes as the media package gets them: no arena that might close is behind them.
   */
  public MemorySegment view() {
    return MemorySegment.ofAddress(media.address()).reinterpret(media.byteSize()).asReadOnly();
  }

  /** Unmaps the file, which stays. */
  @Override
  public void close() {
    arena.close();
  }
}
