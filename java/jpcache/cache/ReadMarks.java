package jpcache.cache;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import jpcache.extent.Extent;

/**
 * Which of the cached data has been read since it came to its place: a bit for each 4 KiB of the
 * data areas, a 32,768th of the cache.
 *
 * <p>A hint, no more: marks are made without any atomic instruction, and one may be lost to another
 * that is made in the same word at the same time. A mark that is there already costs a load.
 *
 * <p>Any thread.
 */
final class ReadMarks {
  private static final int SECTORS_SHIFT = 3;
  private static final int WORD_SHIFT = 6;

  /** Words of a segment, 16 MiB: 4096 bits. */
  private static final int SEGMENT_WORDS_SHIFT = 6;

  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

  private final long[] words;

  ReadMarks(int segments) {
    words = new long[segments << SEGMENT_WORDS_SHIFT];
  }

  /** The data of an extent has been read. */
  void mark(long extent) {
    int segment = Extent.segment(extent);
    int last = lastBit(extent);
    for (int bit = firstBit(extent); bit <= last; bit++) {
      int word = word(segment, bit);
      long marks = (long) WORD.getOpaque(words, word);
      if ((marks & 1L << bit) == 0) {
        WORD.setOpaque(words, word, marks | 1L << bit);
      }
    }
  }

  /** Whether any of an extent's data has been read. */
  boolean isMarked(long extent) {
    int segment = Extent.segment(extent);
    int last = lastBit(extent);
    for (int bit = firstBit(extent); bit <= last; bit++) {
      if (((long) WORD.getOpaque(words, word(segment, bit)) & 1L << bit) != 0) {
        return true;
      }
    }
    return false;
  }

  /** A segment is about to take other data. */
  void clear(int segment) {
    for (int word = 0; word < 1 << SEGMENT_WORDS_SHIFT; word++) {
      WORD.setOpaque(words, (segment << SEGMENT_WORDS_SHIFT) + word, 0L);
    }
  }

  private static int firstBit(long extent) {
    return Extent.place(extent) >>> SECTORS_SHIFT;
  }

  private static int lastBit(long extent) {
    return (Extent.place(extent) + Extent.sectors(extent) - 1) >>> SECTORS_SHIFT;
  }

  private static int word(int segment, int bit) {
    return (segment << SEGMENT_WORDS_SHIFT) + (bit >>> WORD_SHIFT);
  }
}
