package jpcache.cache;

import static jpcache.extent.ExtentMap.SUBTREE_BYTES;

import java.io.UncheckedIOException;
import jpcache.base.Crc32c;
import jpcache.metrics.Counters;
import jpcache.pmem.PmemRegion;

/**
 * Puts a queue's data into persistent memory, in pieces that a key can stand for, with room in the
 * log for each key. Whoever enters the keys drains first.
 *
 * <p>Used by one thread at a time.
 */
final class Staging {
  /** Room in the log is taken for so many keys at once, to take its lock less often. */
  private static final int KEYS_RESERVED_AT_ONCE = 64;

  private final Cache cache;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final LogHead log;
  private final int lane;
  private final Counters.Stripe<CacheMetrics.Event> counters;
  private final DataHead.Room room = new DataHead.Room();
  private final DataHead.Ahead ahead = new DataHead.Ahead();
  private final Crc32c crc = new Crc32c();

  /** Keys that the log has room for and that have no piece yet. */
  private int reservedKeys;

  Staging(Cache cache, int lane, Counters.Stripe<CacheMetrics.Event> counters) {
    this.cache = cache;
    this.lane = lane;
    this.counters = counters;
    region = cache.region();
    segments = cache.segments();
    log = cache.log().head();
  }

  /**
   * Takes room for the bytes from one place to another, and copies them there.
   *
   * @param addressOfZero where the logical device's first byte would be
   * @return false, with nothing left of it, if there is no room
   * @throws UncheckedIOException if they could not be stored; nothing is left of it either
   */
  boolean stage(StagedWrites pieces, long from, long to, long addressOfZero) {
    int before = pieces.pieces();
    boolean all = false;
    try {
      all = stagePieces(pieces, from, to, addressOfZero);
    } finally {
      if (!all) {
        drop(pieces, before);
      }
    }
    return all;
  }

  private boolean stagePieces(StagedWrites pieces, long from, long to, long addressOfZero) {
    long at = from;
    while (at < to) {
      int inSubtree = SUBTREE_BYTES - (int) (at & (SUBTREE_BYTES - 1));
      if (!takeRoom((int) Math.min(to - at, inSubtree), pieces.pieces() > 0)) {
        return false;
      }
      long source = addressOfZero + at;
      try {
        region.copy(segments.dataOffset(room.segment) + room.offsetBytes, source, room.lengthBytes);
        pieces.addPiece(at, room, cache.dataCrc() ? crc.of(source, room.lengthBytes) : 0);
      } catch (RuntimeException | Error e) {
        segments.release(room.segment);
        reservedKeys++;
        throw e;
      }
      at += room.lengthBytes;
    }
    counters.add(CacheMetrics.Event.STORED_BYTES, to - from);
    return true;
  }

  /**
   * Takes what the keys take that make the bytes from one place to another zeros: room in the log,
   * and zeros to point to.
   *
   * @return as {@link #stage}
   * @throws UncheckedIOException if the zeros they point to could not be stored
   */
  boolean stageZeros(StagedWrites pieces, long from, long to, boolean unmap) {
    if (!cache.prepareZeros(lane)) {
      return false;
    }
    int before = pieces.pieces();
    long at = from;
    while (at < to) {
      if (!reserveKeys()) {
        drop(pieces, before);
        return false;
      }
      reservedKeys--;
      int inSubtree = SUBTREE_BYTES - (int) (at & (SUBTREE_BYTES - 1));
      int length = (int) Math.min(to - at, inSubtree);
      cache.zeros().take(length, unmap, room);
      pieces.addPiece(at, room, cache.dataCrc() ? ZeroExtents.dataCrc(length) : 0);
      at += length;
    }
    return true;
  }

  /**
   * Takes {@link #room} for data, and room in the log for its key.
   *
   * @param more whether it is not the batch's first, so that others will follow
   */
  private boolean takeRoom(int wantedBytes, boolean more) {
    if (!reserveKeys()) {
      return false;
    }
    if (!ahead.take(wantedBytes, room)) {
      ahead.giveBack();
      boolean taken =
          (more && cache.takeAhead(lane, wantedBytes, ahead))
              ? ahead.take(wantedBytes, room)
              : cache.takeRoom(lane, wantedBytes, room);
      if (!taken) {
        return false;
      }
    }
    reservedKeys--;
    return true;
  }

  /** Nothing more comes for now: gives back the room that was taken ahead. */
  void endBatch() {
    ahead.giveBack();
  }

  /** Sees to it that there is room in the log for one key at least. */
  private boolean reserveKeys() {
    if (reservedKeys == 0) {
      if (log.reserve(KEYS_RESERVED_AT_ONCE)) {
        reservedKeys = KEYS_RESERVED_AT_ONCE;
      } else if (log.reserve(1)) {
        reservedKeys = 1;
      }
    }
    return reservedKeys > 0;
  }

  /** Gives back what the pieces from number {@code from} on have taken. */
  void drop(StagedWrites pieces, int from) {
    for (int piece = from; piece < pieces.pieces(); piece++) {
      segments.release(pieces.segment(piece));
      reservedKeys++;
    }
    pieces.dropPieces(from);
  }

  /** Gives back the room that no piece has taken. */
  void close() {
    ahead.giveBack();
    log.release(reservedKeys);
    reservedKeys = 0;
  }
}
