package jpcache.media;

import static jpcache.media.Layout.KSET_HEADER_BYTES;
import static jpcache.media.Layout.SEGMENT_DATA_BYTES;

import java.util.BitSet;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * A chain of ksets, walked to its end, or to the kset where nobody can go on; and whether another
 * place is on it. For those who judge a log whose parts may not fit together.
 *
 * <p>Immutable once it has been walked.
 */
public final class LogChain {
  private final Position start;
  private final long endBytes;
  private final Position end;
  private final BitSet segments;
  private final boolean endsWell;
  private @Nullable MediaException broken;
  private boolean poisoned;
  private boolean meets;
  private boolean passes;

  /**
   * Walks the chain that begins at {@code start}.
   *
   * @param other the place that is sought on it
   */
  static LogChain walk(CacheMedia media, Position start, Position other) {
    return new LogChain(media, start, other);
  }

  /** The log as key_tail tells it, and whether dirty_tail is on it. */
  public static LogChain ofKeyTail(CacheMedia media) {
    return walk(media, media.keyTail(), media.dirtyTail());
  }

  private LogChain(CacheMedia media, Position start, Position other) {
    this.start = start;
    LogReader reader = new LogReader(media, start, Long.MAX_VALUE);
    try {
      while (reader.next()) {
        look(reader, other);
      }
    } catch (MediaException e) {
      broken = e;
    } catch (PoisonedMemoryException e) {
      poisoned = true;
    }
    end = reader.head();
    meets |= end.equals(other);
    segments = (BitSet) reader.segmentsVisited().clone();
    endBytes = media.segments().dataOffset(end.cacheSegment()) + end.offsetBytes();
    endsWell =
        broken == null && !poisoned && (!hasRoom(end) || Kset.isTerminator(media.view(), endBytes));
  }

  /** Whether a terminator can stand there. */
  private static boolean hasRoom(Position at) {
    return at.offsetBytes() <= SEGMENT_DATA_BYTES - KSET_HEADER_BYTES;
  }

  private void look(LogReader reader, Position other) {
    Position kset = reader.ksetPosition();
    meets |= kset.equals(other);
    if (kset.cacheSegment() == other.cacheSegment() && kset.offsetBytes() < other.offsetBytes()) {
      int end = kset.offsetBytes() + reader.kset().sizeBytes();
      passes |= end > other.offsetBytes() || reader.kset().isLast();
    }
  }

  /** Where it ends, or where the kset is that cannot be believed or read. */
  public Position end() {
    return end;
  }

  /** What is wrong with the kset at its end; null if nothing is. */
  public @Nullable MediaException broken() {
    return broken;
  }

  /** Whether its end is there because the memory cannot be read. */
  public boolean poisoned() {
    return poisoned;
  }

  /** Whether zeros stand at its end, or there is no room for them: not a torn kset. */
  public boolean endsWell() {
    return endsWell;
  }

  /** The cache segments that it comes through. */
  public BitSet segments() {
    return (BitSet) segments.clone();
  }

  /** Whether a kset of it begins at the other place, or it ends there. */
  boolean meets() {
    return meets;
  }

  /** Whether it goes over the other place: that is inside a kset, or behind a last one. */
  boolean passes() {
    return passes;
  }

  /** Whether any kset begins where it does, be that to be believed or not. */
  boolean hasKset() {
    return broken != null || !end.equals(start);
  }

  /** Where it ends and what stands there, to be read after "ends" or "damaged". */
  public String endTold() {
    return "at " + end + " (" + whatStandsThere() + ")";
  }

  private String whatStandsThere() {
    MediaException e = broken;
    if (e != null) {
      return e.plain();
    }
    if (endsWell && !hasRoom(end)) {
      return "its segment is full";
    }
    String what = poisoned ? "memory that cannot be read" : endsWell ? "zeros" : "a torn key set";
    return what + " at byte " + endBytes;
  }
}
