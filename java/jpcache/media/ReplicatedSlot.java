package jpcache.media;

import static jpcache.media.Layout.META_CRC_AT;
import static jpcache.media.Layout.META_HEADER_BYTES;
import static jpcache.media.Layout.META_RESERVED_AT;
import static jpcache.media.Layout.META_SEQ_AT;
import static jpcache.media.Layout.META_VERSION_AT;
import static jpcache.media.Layout.U32;
import static jpcache.media.Layout.U8;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Crc32c;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;

/**
 * A small structure that is kept in two replicas, so that a power cut during an update leaves the
 * version before it.
 *
 * <pre>
 *   0        4     5         6          8
 *   +--------+-----+---------+----------+----------------
 *   | crc    | seq | version | reserved | fields ...
 *   +--------+-----+---------+----------+----------------
 * </pre>
 *
 * The current replica is the valid one with the later {@code seq}, in wrap-around arithmetic of
 * signed bytes. This class is the only reader and the only writer of such structures.
 *
 * <p>Instances are stateless; several threads may read one. Writers of the same slot must exclude
 * each other.
 *
 * <p>Kernel counterpart: {@code pcache_meta_find_latest}, {@code pcache_meta_find_oldest}.
 */
public final class ReplicatedSlot {
  private static final int REPLICAS = 2;

  private final String structure;
  private final long offsetBytes;
  private final int strideBytes;
  private final int sizeBytes;

  /** Where the first version goes: as the kernel's format does, though any would be right. */
  private final int firstReplica;

  private ReplicatedSlot(
      String structure, long offsetBytes, int strideBytes, int sizeBytes, int firstReplica) {
    this.structure = structure;
    this.offsetBytes = offsetBytes;
    this.strideBytes = strideBytes;
    this.sizeBytes = sizeBytes;
    this.firstReplica = firstReplica;
  }

  public static ReplicatedSlot cacheInfo() {
    return new ReplicatedSlot(
        "cache_info",
        Layout.CACHE_INFO_OFFSET,
        Layout.REPLICA_STRIDE_BYTES,
        Layout.CACHE_INFO_BYTES,
        1);
  }

  public static ReplicatedSlot keyTail() {
    return new ReplicatedSlot(
        "key_tail", Layout.KEY_TAIL_OFFSET, Layout.POSITION_BYTES, Layout.POSITION_BYTES, 0);
  }

  public static ReplicatedSlot dirtyTail() {
    return new ReplicatedSlot(
        "dirty_tail", Layout.DIRTY_TAIL_OFFSET, Layout.POSITION_BYTES, Layout.POSITION_BYTES, 0);
  }

  public static ReplicatedSlot segmentInfo(int deviceSegment) {
    return new ReplicatedSlot(
        "segment_info",
        Layout.segmentOffset(deviceSegment),
        Layout.REPLICA_STRIDE_BYTES,
        Layout.SEGMENT_INFO_BYTES,
        1);
  }

  public static ReplicatedSlot generation(int deviceSegment) {
    return new ReplicatedSlot(
        "generation",
        Layout.segmentOffset(deviceSegment) + Layout.SEGMENT_CONTROL_AT,
        Layout.GENERATION_BYTES,
        Layout.GENERATION_BYTES,
        1);
  }

  public String structure() {
    return structure;
  }

  /** Where replica 0 is; what is said about the slot is said with this place. */
  public long offsetBytes() {
    return offsetBytes;
  }

  int sizeBytes() {
    return sizeBytes;
  }

  /**
   * Copies the current replica out of the media.
   *
   * @return false if no replica is valid; {@code into} is then undefined
   */
  boolean read(MemorySegment media, MemorySegment into, Crc32c crc) {
    int current = current(media, into, crc);
    if (current < 0) {
      return false;
    }
    copyReplica(media, current, into);
    // What was checked may have changed since: only the copy counts.
    return valid(into, crc);
  }

  /**
   * Writes the next version over the replica that is <em>not</em> current. Durable when this
   * returns; until then the version before it stands.
   *
   * @param structure the whole structure; its header is filled in here
   */
  void write(PmemRegion region, MemorySegment structure, Crc32c crc) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment scratch = arena.allocate(sizeBytes, Long.BYTES);
      int current = current(region.view(), scratch, crc);
      byte seq = 0;
      if (current >= 0) {
        copyReplica(region.view(), current, scratch);
        seq = scratch.get(U8, META_SEQ_AT);
      }
      scratch.copyFrom(structure.asSlice(0, sizeBytes));
      scratch.set(U8, META_SEQ_AT, (byte) (seq + 1));
      scratch.set(U8, META_VERSION_AT, (byte) 0);
      scratch.set(ValueLayout.JAVA_SHORT_UNALIGNED, META_RESERVED_AT, (short) 0);
      scratch.set(U32, META_CRC_AT, checksum(scratch, crc));
      int other = current < 0 ? firstReplica : REPLICAS - 1 - current;
      region.persist(replicaOffset(other), scratch.address(), sizeBytes);
    }
  }

  /** Looks at both replicas, for those who check media. */
  public Replicas inspect(MemorySegment media, Crc32c crc) {
    MemorySegment zeros = MemorySegment.ofArray(new byte[sizeBytes]);
    MemorySegment[] copies = new MemorySegment[REPLICAS];
    List<Replicas.State> states = new ArrayList<>(REPLICAS);
    for (int replica = 0; replica < REPLICAS; replica++) {
      MemorySegment copy = MemorySegment.ofArray(new byte[sizeBytes]);
      copyReplica(media, replica, copy);
      copies[replica] = copy;
      boolean blank = copy.mismatch(zeros) < 0;
      states.add(
          blank
              ? Replicas.State.BLANK
              : valid(copy, crc) ? Replicas.State.VALID : Replicas.State.TORN);
    }
    boolean ambiguous = false;
    if (states.stream().allMatch(state -> state == Replicas.State.VALID)) {
      byte ahead = (byte) (copies[1].get(U8, META_SEQ_AT) - copies[0].get(U8, META_SEQ_AT));
      MemorySegment fields = copies[0].asSlice(META_HEADER_BYTES);
      ambiguous =
          (ahead == 0 || ahead == Byte.MIN_VALUE)
              && fields.mismatch(copies[1].asSlice(META_HEADER_BYTES)) >= 0;
    }
    int current = current(media, MemorySegment.ofArray(new byte[sizeBytes]), crc);
    return new Replicas(this, states, current, ambiguous);
  }

  /** Where a replica is on the device. */
  public long offsetBytes(int replica) {
    return replicaOffset(replica);
  }

  /**
   * Writes the version in force once more, over the other replica. Durable when this returns.
   *
   * @throws IllegalStateException if there is none
   */
  void rewrite(PmemRegion region, Crc32c crc) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[sizeBytes]);
    if (!read(region.view(), bytes, crc)) {
      throw new IllegalStateException(structure + ": no version that could be written again");
    }
    write(region, bytes, crc);
  }

  private int current(MemorySegment media, MemorySegment scratch, Crc32c crc) {
    int current = -1;
    byte currentSeq = 0;
    for (int replica = 0; replica < REPLICAS; replica++) {
      copyReplica(media, replica, scratch);
      byte seq = scratch.get(U8, META_SEQ_AT);
      if (valid(scratch, crc) && (current < 0 || (byte) (seq - currentSeq) > 0)) {
        current = replica;
        currentSeq = seq;
      }
    }
    return current;
  }

  private boolean valid(MemorySegment replica, Crc32c crc) {
    return replica.get(U32, META_CRC_AT) == checksum(replica, crc);
  }

  private int checksum(MemorySegment replica, Crc32c crc) {
    return crc.of(replica.asSlice(Integer.BYTES, sizeBytes - Integer.BYTES).asByteBuffer());
  }

  private void copyReplica(MemorySegment media, int replica, MemorySegment into) {
    PmemReads.copy(media, replicaOffset(replica), into, 0, sizeBytes);
  }

  private long replicaOffset(int replica) {
    return offsetBytes + (long) replica * strideBytes;
  }
}
