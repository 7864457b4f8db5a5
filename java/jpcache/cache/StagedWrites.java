package jpcache.cache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.base.Completion;

/**
 * The writes of a batch whose data is on its way into persistent memory and whose keys are not yet
 * in any tree: a structure of arrays that is reused from batch to batch.
 *
 * <p>A write has one piece for each subtree and each segment it is spread over.
 */
final class StagedWrites {
  private int pieces;
  private long[] offsets;
  private int[] lengths;
  private int[] segments;
  private int[] segmentOffsets;
  private int[] dataCrcs;
  private final List<Completion> completions = new ArrayList<>(0);

  /** None, with room for so many pieces at first. */
  StagedWrites(int capacity) {
    offsets = new long[capacity];
    lengths = new int[capacity];
    segments = new int[capacity];
    segmentOffsets = new int[capacity];
    dataCrcs = new int[capacity];
  }

  int pieces() {
    return pieces;
  }

  void addPiece(long offsetBytes, DataHead.Room room, int dataCrc) {
    if (pieces == offsets.length) {
      offsets = Arrays.copyOf(offsets, 2 * pieces);
      lengths = Arrays.copyOf(lengths, 2 * pieces);
      segments = Arrays.copyOf(segments, 2 * pieces);
      segmentOffsets = Arrays.copyOf(segmentOffsets, 2 * pieces);
      dataCrcs = Arrays.copyOf(dataCrcs, 2 * pieces);
    }
    offsets[pieces] = offsetBytes;
    lengths[pieces] = room.lengthBytes;
    segments[pieces] = room.segment;
    segmentOffsets[pieces] = room.offsetBytes;
    dataCrcs[pieces] = dataCrc;
    pieces++;
  }

  /** Forgets the pieces from number {@code from} on; their writes may still be completed. */
  void dropPieces(int from) {
    pieces = from;
  }

  /** The write that the pieces so far are of completes with the batch. */
  void addCompletion(Completion done) {
    completions.add(done);
  }

  long offset(int piece) {
    return offsets[piece];
  }

  int length(int piece) {
    return lengths[piece];
  }

  int segment(int piece) {
    return segments[piece];
  }

  int segmentOffset(int piece) {
    return segmentOffsets[piece];
  }

  int dataCrc(int piece) {
    return dataCrcs[piece];
  }

  /** Completes all writes, with 0 or the error they met, and forgets them. */
  void completeAll(int errno) {
    for (int i = 0; i < completions.size(); i++) {
      completions.get(i).complete(errno);
    }
    completions.clear();
  }

  /** Forgets all writes and pieces, of whose end nobody wants to be told. */
  void clear() {
    pieces = 0;
    completions.clear();
  }
}
