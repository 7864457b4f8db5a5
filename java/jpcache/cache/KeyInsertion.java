package jpcache.cache;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.Layout;

/**
 * Enters keys into their subtrees and into the log, and makes them durable there. Their data has
 * been drained before.
 *
 * <p>Used by one thread at a time. Locks, in this order: a subtree, its open kset, the log's head.
 */
final class KeyInsertion {
  private static final Logger LOG = System.getLogger(KeyInsertion.class.getName());

  private final ExtentMap map;
  private final KeyLog log;
  private final SegmentTable segments;
  private final ZeroExtents zeros;
  private final Fills fills;

  /** For each open kset the last ticket that has to become durable, or 0. */
  private final long[] tickets;

  /** Of the pieces that were last to be entered, those whose data is no longer the caller's. */
  private int entered;

  KeyInsertion(Cache cache) {
    map = cache.map();
    log = cache.log();
    segments = cache.segments();
    zeros = cache.zeros();
    fills = cache.fills();
    tickets = new long[log.openKsets()];
  }

  /**
   * Enters the keys of some pieces, as dirty ones; reads see them from now on. The pieces of which
   * that is true are the first {@link #entered}, however this ends.
   *
   * @return whether that is all of them; false if a full kset could not be stored
   */
  boolean insert(StagedWrites pieces) {
    entered = 0;
    while (entered < pieces.pieces()) {
      int piece = entered++; // if anything throws, nobody knows how far it has come
      long offset = pieces.offset(piece);
      Subtree subtree = map.subtree(offset);
      try {
        synchronized (subtree) {
          fills.overtake(offset, pieces.length(piece));
          tickets[log.indexOf(offset)] = insert(subtree, pieces, piece, 0);
        }
      } catch (UncheckedIOException e) {
        LOG.log(Level.ERROR, "writes fail: {0}", e.getMessage());
        entered = piece;
        return false;
      }
    }
    return true;
  }

  /** How many pieces the last {@link #insert(StagedWrites)} has entered, or begun to. */
  int entered() {
    return entered;
  }

  /**
   * Enters the key of one piece, with its subtree's lock held; returns its ticket.
   *
   * @throws UncheckedIOException if a full kset could not be stored; nothing has entered then
   */
  long insert(Subtree subtree, StagedWrites pieces, int piece, int flags) {
    long offset = pieces.offset(piece);
    int length = pieces.length(piece);
    int segment = pieces.segment(piece);
    int segmentOffset = pieces.segmentOffset(piece);
    long ticket =
        log.openKset(log.indexOf(offset))
            .append(
                offset,
                length,
                flags,
                segment,
                segmentOffset,
                segments.generation(segment),
                pieces.dataCrc(piece));
    long extent = Extent.ofBytes(offset, length, segment, segmentOffset);
    boolean clean = (flags & Layout.KEY_FLAG_CLEAN) != 0;
    if (zeros.holds(segment, segmentOffset)) {
      subtree.addZeroKey(!clean); // the log has it, whether memory suffices for the extent or not
    }
    subtree.insert(clean ? Extent.clean(extent) : extent, pieces.dataCrc(piece));
    return ticket;
  }

  /**
   * Makes the keys durable that were entered since the last call.
   *
   * @return false if they could not be: they are seen all the same, and stay in their open ksets,
   *     which are stored again with what comes next
   */
  boolean makeDurable() {
    boolean durable = true;
    for (int kset = 0; kset < tickets.length; kset++) {
      if (tickets[kset] != 0) {
        try {
          log.openKset(kset).makeDurable(tickets[kset]);
        } catch (UncheckedIOException e) {
          LOG.log(Level.ERROR, "writes fail: {0}", e.getMessage());
          durable = false;
        }
        tickets[kset] = 0;
      }
    }
    return durable;
  }
}
