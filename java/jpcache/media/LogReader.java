package jpcache.media;

import static jpcache.media.Layout.SECTOR_BYTES;
import static jpcache.media.Layout.SEGMENT_DATA_BYTES;
import static jpcache.media.Layout.SUBTREE_BYTES;

import java.util.BitSet;
import jpcache.media.MediaException.Kind;

/**
 * Walks the key log, kset by kset. The only reader of it: the engine and all tools see the log
 * through this class, and a kset is shown only after all of it has been validated.
 *
 * <p>The log ends at the first place that holds no valid kset: that is how a power cut leaves it,
 * and no error. A kset whose checksum is right but whose fields lead out of the cache is an error.
 *
 * <p>Used by one thread.
 *
 * <p>Kernel counterpart: {@code cache_key.c: cache_replay}, {@code cache_key_decode}.
 */
public final class LogReader {
  private final CacheMedia media;
  private final long logicalBytes;
  private final Kset kset = new Kset();
  private final BitSet visited = new BitSet();
  private int segment;
  private int offset;

  /** Where the last step's kset began. */
  private int ksetSegment;

  private int ksetOffset;

  /**
   * A walk that begins at {@code start}.
   *
   * @param logicalBytes the size of the logical device, which no key may exceed; {@link
   *     Long#MAX_VALUE} where it is not known
   */
  public LogReader(CacheMedia media, Position start, long logicalBytes) {
    this.media = media;
    this.logicalBytes = logicalBytes;
    segment = start.cacheSegment();
    offset = start.offsetBytes();
    visited.set(segment);
  }

  /**
   * Goes on to the next kset, which {@link #kset} then is: an ordinary or a last one.
   *
   * @return false at the end of the log, which {@link #head} then is
   * @throws MediaException if a kset leads out of the cache or in a circle
   */
  public boolean next() {
    try {
      return advance();
    } catch (MediaException e) {
      throw e.on(media.device());
    }
  }

  private boolean advance() {
    long at = media.segments().dataOffset(segment) + offset;
    if (!kset.read(media.view(), at, SEGMENT_DATA_BYTES - offset)) {
      return false;
    }
    ksetSegment = segment;
    ksetOffset = offset;
    if (kset.isLast()) {
      follow(at);
    } else {
      for (int key = 0; key < kset.keyCount(); key++) {
        checkKey(key, at + Kset.sizeBytes(key));
      }
      offset += kset.sizeBytes();
    }
    return true;
  }

  /** The kset that {@link #next} found; valid until the next call. */
  public Kset kset() {
    return kset;
  }

  /** Where that kset begins. */
  public Position ksetPosition() {
    return new Position(ksetSegment, ksetOffset);
  }

  /** Where the walk stands: behind the last kset that was found. */
  public Position head() {
    return new Position(segment, offset);
  }

  /** The cache segments that the walk has come through, which hold ksets. */
  public BitSet segmentsVisited() {
    return visited;
  }

  private void follow(long at) {
    long next = kset.nextSegment();
    if (next >= media.segments().count()) {
      throw MediaException.outOfRange(
          "kset.next_seg", at, next, "cache segments are below " + media.segments().count());
    }
    if (visited.get((int) next)) {
      throw MediaException.of(
          Kind.CYCLE,
          "kset.next_seg",
          at,
          Long.toString(next),
          "the chain of key sets comes back to a segment that it has been in");
    }
    segment = (int) next;
    offset = 0;
    visited.set(segment);
  }

  private void checkKey(int key, long at) {
    long off = kset.keyOffset(key);
    long len = Integer.toUnsignedLong(kset.keyLength(key));
    if (len == 0 || len > SUBTREE_BYTES || len % SECTOR_BYTES != 0) {
      throw MediaException.outOfRange(
          "key.len", at, len, "must be a multiple of 512, above 0 and at most 4 MiB");
    }
    if (off < 0 || off % SECTOR_BYTES != 0 || off > logicalBytes - len) {
      throw MediaException.outOfRange(
          "key.off",
          at,
          off,
          "with its length "
              + len
              + " it must be a multiple of 512 and end within the logical device"
              + (logicalBytes == Long.MAX_VALUE ? "" : " of " + logicalBytes + " bytes"));
    }
    if (off % SUBTREE_BYTES + len > SUBTREE_BYTES) {
      throw MediaException.outOfRange(
          "key.off", at, off, "with its length " + len + " the key crosses a 4 MiB boundary");
    }
    if ((kset.keyFlags(key) & Layout.KEY_FLAG_EMPTY) != 0) {
      throw MediaException.outOfRange(
          "key.flags",
          at,
          Integer.toUnsignedLong(kset.keyFlags(key)),
          "an empty key has no place on media");
    }
    long seg = Integer.toUnsignedLong(kset.keySegment(key));
    if (seg >= media.segments().count()) {
      throw MediaException.outOfRange(
          "key.cache_seg_id", at, seg, "cache segments are below " + media.segments().count());
    }
    long segOff = Integer.toUnsignedLong(kset.keySegmentOffset(key));
    if (segOff % SECTOR_BYTES != 0 || segOff > SEGMENT_DATA_BYTES - len) {
      throw MediaException.outOfRange(
          "key.cache_seg_off",
          at,
          segOff,
          "with its length "
              + len
              + " it must be a multiple of 512 and end within the data area of "
              + SEGMENT_DATA_BYTES
              + " bytes");
    }
  }
}
