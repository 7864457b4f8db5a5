package jpcache.media;

import static jpcache.media.Layout.KSET_FLAG_LAST;
import static jpcache.media.Layout.KSET_HEADER_BYTES;
import static jpcache.media.Layout.KSET_MAX_BYTES;
import static jpcache.media.Layout.SEGMENT_DATA_BYTES;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Optional;
import jpcache.pmem.PmemReads;
import org.jspecify.annotations.Nullable;

/**
 * Valid ksets behind a torn one, where readers take the log's end to be. They are the rest of a log
 * that was damaged there, or what an older log left in the segment; the media do not tell which.
 *
 * <p>A log that ends as it should has a terminator behind its newest kset. A power cut may tear
 * that kset, but then its terminator follows in its place, for writers make that durable first (the
 * kernel: at the same time). So where zeros stand in the place of a next kset, nothing behind them
 * is of this log; and where a valid kset stands in that place it may be.
 *
 * @param torn where the log ends
 * @param first where the first valid kset behind that begins
 */
public record RestOfLog(CacheMedia media, Position torn, Position first) {
  /** What is in the rest of a log and in none of its ksets before. */
  public record Counts(long ksets, long dirtyKeys) {
    /** As in: 2 key sets with 1 dirty key. */
    @Override
    public String toString() {
      return counted(ksets, "key set") + " with " + counted(dirtyKeys, "dirty key");
    }

    private static String counted(long n, String what) {
      return n + " " + what + (n == 1 ? "" : "s");
    }
  }

  /**
   * Looks behind the end of a log, no further than the largest kset reaches.
   *
   * @param head where it ends for readers
   * @throws jpcache.pmem.PoisonedMemoryException if the memory there cannot be read
   */
  public static Optional<RestOfLog> behind(CacheMedia media, Position head) {
    return Optional.ofNullable(new Search(media, head).first())
        .map(first -> new RestOfLog(media, head, first));
  }

  /**
   * The first valid kset behind a place, as far as its segment reaches; null if there is none.
   *
   * @throws jpcache.pmem.PoisonedMemoryException if the memory there cannot be read
   */
  static @Nullable Position next(CacheMedia media, Position place) {
    Search search = new Search(media, place);
    int end = SEGMENT_DATA_BYTES - KSET_HEADER_BYTES;
    for (int at = place.offsetBytes() + Long.BYTES; at <= end; at += Long.BYTES) {
      Position next = new Position(place.cacheSegment(), at);
      if (search.holdsKset(next)) {
        return next;
      }
    }
    return null;
  }

  /** Whether the first kset says anything that holds: it is a last one, or has a key not stale. */
  public boolean beginsLive() {
    LogReader reader = new LogReader(media, first, Long.MAX_VALUE);
    return next(reader) && (reader.kset().isLast() || isLive(reader.kset()));
  }

  /**
   * Counts the ksets that are not wholly stale, and their dirty keys that the log does not tell.
   * Takes 8 bytes of memory for each such key.
   */
  public Counts count() {
    BitSet logSegments = segments();
    DataPlaces dirty = new DataPlaces();
    LogReader reader = new LogReader(media, first, Long.MAX_VALUE);
    long ksets = 0;
    boolean comesBack = false;
    while (!comesBack && next(reader)) {
      Kset kset = reader.kset();
      ksets += isLive(kset) ? 1 : 0;
      for (int key = 0; key < kset.keyCount(); key++) {
        if (isLive(kset, key) && !kset.keyIsClean(key)) {
          dirty.add(kset, key);
        }
      }
      comesBack = kset.isLast() && logSegments.get(reader.head().cacheSegment());
    }
    dirty.sort();
    return new Counts(ksets, dirty.size - toldOf(dirty));
  }

  /** The segments that the log comes through up to where it ends. */
  private BitSet segments() {
    LogReader log = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    while (next(log)) {
      // the reader keeps them
    }
    return log.segmentsVisited();
  }

  /** How many of them are those of live keys of the log up to where it ends. */
  private long toldOf(DataPlaces dirty) {
    BitSet told = new BitSet(dirty.size);
    LogReader log = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    while (next(log)) {
      Kset kset = log.kset();
      for (int key = 0; key < kset.keyCount(); key++) {
        int at = dirty.find(kset, key);
        if (at >= 0 && isLive(kset, key)) {
          told.set(at);
        }
      }
    }
    return told.cardinality();
  }

  private boolean isLive(Kset kset) {
    for (int key = 0; key < kset.keyCount(); key++) {
      if (isLive(kset, key)) {
        return true;
      }
    }
    return false;
  }

  private boolean isLive(Kset kset, int key) {
    return !kset.keyIsStale(key, media.segments().generation(kset.keySegment(key)));
  }

  /** What cannot be believed ends the walk too. */
  private static boolean next(LogReader reader) {
    try {
      return reader.next();
    } catch (MediaException e) {
      return false;
    }
  }

  /**
   * Where keys have their data, each a segment and an offset in it. The generation goes without
   * saying: these are live keys.
   */
  private static final class DataPlaces {
    private long[] places = new long[128];
    private int size;

    void add(Kset kset, int key) {
      if (size == places.length) {
        places = Arrays.copyOf(places, 2 * size);
      }
      places[size++] = place(kset, key);
    }

    /** Makes it a set. */
    void sort() {
      places = Arrays.stream(places, 0, size).sorted().distinct().toArray();
      size = places.length;
    }

    /** Which of the set it is; negative if none. */
    int find(Kset kset, int key) {
      return Arrays.binarySearch(places, 0, size, place(kset, key));
    }

    private static long place(Kset kset, int key) {
      return (long) kset.keySegment(key) << Integer.SIZE | kset.keySegmentOffset(key);
    }
  }

  /** The search for the first valid kset. */
  private static final class Search {
    private final CacheMedia media;
    private final Position head;
    private final Kset kset = new Kset();
    private final MemorySegment header = MemorySegment.ofArray(new byte[KSET_HEADER_BYTES]);

    Search(CacheMedia media, Position head) {
      this.media = media;
      this.head = head;
    }

    @Nullable Position first() {
      int room = SEGMENT_DATA_BYTES - head.offsetBytes();
      if (room < KSET_HEADER_BYTES || isZero(head)) {
        return null;
      }
      Position named = behindHeader();
      if (named != null && holdsKset(named)) {
        return named;
      }
      int end = Math.min(KSET_MAX_BYTES, room - KSET_HEADER_BYTES);
      for (int behind = KSET_HEADER_BYTES; behind <= end; behind += Long.BYTES) {
        Position at = new Position(head.cacheSegment(), head.offsetBytes() + behind);
        if (holdsKset(at)) {
          return at;
        }
        boolean keyMayBegin = (behind - KSET_HEADER_BYTES) % Layout.KEY_BYTES == 0;
        if (keyMayBegin && isZero(at)) {
          return null; // no key is zeros: a terminator
        }
      }
      return null;
    }

    /** Where the log goes on if the torn kset's header is right; null if it cannot be. */
    private @Nullable Position behindHeader() {
      PmemReads.copy(media.view(), onDevice(head), header, 0, KSET_HEADER_BYTES);
      long keyNum = Integer.toUnsignedLong(header.get(Layout.U32, Layout.KSET_KEY_NUM_AT));
      if ((header.get(Layout.U64, Layout.KSET_FLAGS_AT) & KSET_FLAG_LAST) != 0) {
        return keyNum < media.segments().count() ? new Position((int) keyNum, 0) : null;
      }
      if (keyNum > Layout.KSET_MAX_KEYS) {
        return null;
      }
      int behind = head.offsetBytes() + Kset.sizeBytes((int) keyNum);
      return behind < SEGMENT_DATA_BYTES ? new Position(head.cacheSegment(), behind) : null;
    }

    private boolean holdsKset(Position at) {
      return kset.read(media.view(), onDevice(at), SEGMENT_DATA_BYTES - at.offsetBytes());
    }

    private boolean isZero(Position at) {
      return Kset.isTerminator(media.view(), onDevice(at));
    }

    private long onDevice(Position at) {
      return media.segments().dataOffset(at.cacheSegment()) + at.offsetBytes();
    }
  }
}
