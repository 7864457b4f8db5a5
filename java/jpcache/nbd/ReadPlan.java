package jpcache.nbd;

import java.util.Arrays;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;

/**
 * Where in the range of a long read there is data, and where nothing but zeros that need not be
 * sent. One connection's, used by its thread.
 */
final class ReadPlan implements ExtentSink {
  /** A shorter hole is sent as data: the read's pieces would cost more than its bytes. */
  static final int LEAST_HOLE_BYTES = 32 << 10;

  /** Lengths of the pieces, in turn; those of holes are negative. */
  private int[] pieces = new int[16];

  private int count;

  /** Asks the device; whether the range has a hole. */
  boolean findsHoles(BlockQueue queue, long offsetBytes, int lengthBytes) {
    count = 0;
    queue.describe(offsetBytes, lengthBytes, this);
    endPiece();
    return count > 1 || (count == 1 && pieces[0] < 0);
  }

  @Override
  public boolean extent(long lengthBytes, int flags) {
    int length = (int) lengthBytes;
    boolean hole = (flags & ZERO) != 0;
    if (count == 0 || (pieces[count - 1] < 0) != hole) {
      endPiece();
      if (count == 0 || hole || pieces[count - 1] < 0) {
        if (count == pieces.length) {
          pieces = Arrays.copyOf(pieces, 2 * count);
        }
        pieces[count++] = 0;
      }
    }
    pieces[count - 1] += hole ? -length : length;
    return true;
  }

  /** The last piece gets no longer: a hole that stayed too short becomes data. */
  private void endPiece() {
    if (count > 0 && pieces[count - 1] < 0 && pieces[count - 1] > -LEAST_HOLE_BYTES) {
      int length = -pieces[--count];
      if (count == 0) {
        count = 1;
        pieces[0] = 0;
      }
      pieces[count - 1] += length;
    }
  }

  int count() {
    return count;
  }

  boolean isHole(int piece) {
    return pieces[piece] < 0;
  }

  int lengthBytes(int piece) {
    return Math.abs(pieces[piece]);
  }

  /** How many of the pieces are data. */
  int dataPieces() {
    int data = 0;
    for (int i = 0; i < count; i++) {
      data += isHole(i) ? 0 : 1;
    }
    return data;
  }

  /** What the reply takes. */
  int replyBytes(ReplyFormat format) {
    int bytes = 0;
    for (int i = 0; i < count; i++) {
      bytes += isHole(i) ? format.holeChunkBytes() : format.dataHeaderBytes() + lengthBytes(i);
    }
    return bytes;
  }
}
