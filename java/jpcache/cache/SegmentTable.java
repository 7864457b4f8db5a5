package jpcache.cache;

import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.BitSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLongArray;
import jpcache.media.MetadataWriter;
import jpcache.media.SegmentList;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Which of the cache's segments are in use, how often, and in which generation.
 *
 * <p>A segment is referred to by the data head that fills it, by every on-media key whose data it
 * holds (from the moment room for that data is taken), by the key log while ksets of it are in
 * replay's reach, or while a client sends from it ({@link LentSegments}). When the last reference
 * goes, its generation goes up, durably, so that whatever still names the old data is stale; only
 * then can it be taken again.
 *
 * <p>A reader that copies data without holding a lock compares {@link #generation} before and
 * after: the generation goes up before the first byte can be overwritten.
 *
 * <p>The last free segment is the key log's: data without room for its keys could not be
 * acknowledged, so data never takes it. Neither write-back nor garbage collection needs room, so a
 * full cache always gets on.
 *
 * <p>Any thread. The monitor guards who is used and is the innermost lock; references and
 * generations are atomic.
 *
 * <p>Kernel counterpart: {@code cache_segment.c: get_cache_segment, cache_seg_get, cache_seg_put}.
 */
final class SegmentTable {
  private static final Logger LOG = System.getLogger(SegmentTable.class.getName());

  static final int NONE = -1;

  /** Segments with numbers closer than this have their counts in different lines of the cache. */
  private static final int APART = 16;

  private final SegmentList list;
  private final MetadataWriter metadata;
  private final AtomicIntegerArray references; // by slot
  private final int stride;
  private final AtomicLongArray generations;
  private final BitSet used;
  private final Runnable segmentTaken;
  private final ReadMarks marks;
  private final AtomicInteger usedCount = new AtomicInteger(); // changes with the monitor held
  private int cursor;

  /**
   * The table of an opened cache.
   *
   * @param references for each segment how many live keys and ksets' segments refer to it
   * @param segmentTaken called, with the monitor held, when there is a free segment less
   */
  SegmentTable(SegmentList list, MetadataWriter metadata, int[] references, Runnable segmentTaken) {
    this.list = list;
    this.segmentTaken = segmentTaken;
    this.metadata = metadata;
    marks = new ReadMarks(references.length);
    stride = (references.length + APART - 1) / APART;
    this.references = new AtomicIntegerArray(stride * APART);
    generations = new AtomicLongArray(references.length);
    used = new BitSet(references.length);
    for (int segment = 0; segment < references.length; segment++) {
      generations.set(segment, list.generation(segment));
      this.references.set(slot(segment), references[segment]);
      if (references[segment] > 0) {
        used.set(segment);
        usedCount.incrementAndGet();
      }
    }
  }

  int count() {
    return list.count();
  }

  /**
   * Where a segment's references are counted. Lanes fill segments that follow each other, and each
   * write counts: in one line of the cache they would be passed from core to core.
   */
  private int slot(int segment) {
    return segment % APART * stride + segment / APART;
  }

  int usedCount() {
    return usedCount.get();
  }

  long dataOffset(int segment) {
    return list.dataOffset(segment);
  }

  /** Which of the segments' data has been read. */
  ReadMarks marks() {
    return marks;
  }

  /** Unsigned. */
  long generation(int segment) {
    return generations.get(segment);
  }

  /** A segment for data, with a reference, or {@link #NONE} when all but the log's are used. */
  synchronized int takeForData() {
    return usedCount.get() + 1 < count() ? take() : NONE;
  }

  /** A segment for key sets, with a reference, or {@link #NONE} when all are used. */
  synchronized int takeForLog() {
    return usedCount.get() < count() ? take() : NONE;
  }

  /** Whether the key log can go on in another segment. */
  synchronized boolean hasRoomForLog() {
    return usedCount.get() < count();
  }

  private int take() {
    int segment = used.nextClearBit(cursor);
    if (segment >= count()) {
      segment = used.nextClearBit(0);
    }
    used.set(segment);
    usedCount.incrementAndGet();
    cursor = segment + 1;
    references.set(slot(segment), 1);
    marks.clear(segment);
    segmentTaken.run();
    return segment;
  }

  void addReference(int segment) {
    addReferences(segment, 1);
  }

  void addReferences(int segment, int count) {
    references.addAndGet(slot(segment), count);
  }

  /** Another reference for somebody who has none and knows of none; false if it is free. */
  boolean addReferenceIfUsed(int segment) {
    int slot = slot(segment);
    int count = references.get(slot);
    while (count > 0) {
      int found = references.compareAndExchange(slot, count, count + 1);
      if (found == count) {
        return true;
      }
      count = found;
    }
    return false;
  }

  /**
   * Takes a reference away. If it was the last, the segment is free when this returns, and its new
   * generation durable before it is.
   */
  void release(int segment) {
    release(segment, 1);
  }

  /** Takes so many references away. */
  void release(int segment, int count) {
    if (references.addAndGet(slot(segment), -count) == 0) {
      free(segment);
    }
  }

  private void free(int segment) {
    long next = generations.get(segment) + 1;
    try {
      metadata.generation(segment, next);
    } catch (UncheckedIOException | PoisonedMemoryException e) {
      // Keys of the old generation may be on media: it stays out of use until the cache is opened.
      LOG.log(Level.ERROR, "segment {0} is lost: {1}", segment, e.getMessage());
      return;
    }
    generations.set(segment, next);
    synchronized (this) {
      used.clear(segment);
      usedCount.decrementAndGet();
    }
  }
}
