package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.io.TempDir;

/** What was written to a log is what is read from it, whatever it is. */
class LogPropertyTest {
  private static final int SECTOR = Layout.SECTOR_BYTES;

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);

  /** A kset of a model log: its keys, or the segment where the log goes on. */
  private record Written(Position at, List<LogKey> keys, int next) {}

  private final List<Written> log = new ArrayList<>();

  /** Cache segment i is device segment order[i]. */
  private final int[] order = shuffled();

  private final long[] generations = new long[MediaBuilder.SMALL_SEGMENTS];

  @RepeatedTest(8)
  void aLogOverSeveralSegmentsIsReadBackKeyByKey() {
    try (MediaBuilder media =
        MediaBuilder.create(directory.resolve("media"), MediaBuilder.SMALL_BYTES)) {
      writeSegments(media);
      Position head = writeLog(media);
      CacheMedia read = CacheMedia.read("cache", media.view());
      checkReader(read, head);
      checkReplay(read, head);
    }
  }

  private void writeSegments(MediaBuilder media) {
    media.cacheInfo(order[0], order.length, MediaBuilder.FLAGS);
    for (int i = 0; i < order.length; i++) {
      boolean last = i == order.length - 1;
      // The last one may say that there is more: the count ends the list.
      media.segmentInfo(order[i], last && random.nextBoolean() ? 2 : 3, last ? 0 : order[i + 1]);
      generations[i] = randomGeneration();
      media.generation(order[i], generations[i]);
    }
  }

  /** Ksets in one to five segments, which the log goes through in any order. */
  private Position writeLog(MediaBuilder media) {
    int hops = random.nextInt(5);
    int segment = random.nextInt(order.length);
    int offset = random.nextInt(1000);
    media.keyTail(segment, offset);
    media.dirtyTail(segment, offset);
    BitSet visited = new BitSet();
    for (int hop = 0; ; hop++) {
      visited.set(segment);
      offset = fill(media, segment, offset, random.nextInt(300));
      if (hop == hops) {
        break;
      }
      int next = visited.nextClearBit(random.nextInt(order.length) / 2);
      media.lastKset(order[segment], offset, next);
      log.add(new Written(new Position(segment, offset), List.of(), next));
      segment = next;
      offset = 0;
    }
    if (!log.isEmpty()) {
      Position dirty = log.get(random.nextInt(log.size())).at();
      media.dirtyTail(dirty.cacheSegment(), dirty.offsetBytes());
    }
    return new Position(segment, offset);
  }

  private int fill(MediaBuilder media, int segment, int from, int ksets) {
    int offset = from;
    for (int k = 0; k < ksets; k++) {
      int count = random.nextInt(4) == 0 ? 128 : 1 + random.nextInt(128);
      if (offset + Kset.sizeBytes(count) + 24 > Layout.SEGMENT_DATA_BYTES) {
        return offset;
      }
      List<LogKey> keys = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        keys.add(randomKey());
      }
      media.kset(order[segment], offset, keys.toArray(LogKey[]::new));
      log.add(new Written(new Position(segment, offset), keys, -1));
      offset += Kset.sizeBytes(count);
    }
    return offset;
  }

  private LogKey randomKey() {
    int len = SECTOR * (1 + random.nextInt(random.nextInt(20) == 0 ? 8192 : 64));
    long subtree = random.nextInt(3) == 0 ? random.nextLong(1L << 41) : random.nextLong(100);
    long off =
        subtree * Layout.SUBTREE_BYTES
            + SECTOR * random.nextLong((Layout.SUBTREE_BYTES - len) / SECTOR + 1);
    int segment = random.nextInt(order.length);
    int place = SECTOR * random.nextInt((Layout.SEGMENT_DATA_BYTES - len) / SECTOR + 1);
    return new LogKey(
        off,
        len,
        random.nextInt() & ~Layout.KEY_FLAG_EMPTY,
        segment,
        place,
        generations[segment] + random.nextInt(-2, 3),
        random.nextInt());
  }

  private long randomGeneration() {
    long[] edges = {0, 1, Long.MAX_VALUE, Long.MIN_VALUE, -1, random.nextLong()};
    return edges[random.nextInt(edges.length)];
  }

  private void checkReader(CacheMedia media, Position head) {
    LogReader reader = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    for (Written written : log) {
      assertTrue(reader.next(), () -> written + " is missing, seed " + seed);
      Kset kset = reader.kset();
      assertEquals(written.at(), reader.ksetPosition(), "seed " + seed);
      assertEquals(written.next() >= 0, kset.isLast());
      if (kset.isLast()) {
        assertEquals(new Position(written.next(), 0), reader.head());
      }
      List<LogKey> keys = new ArrayList<>();
      for (int key = 0; key < kset.keyCount(); key++) {
        keys.add(keyOf(kset, key));
      }
      assertEquals(written.keys(), keys, "seed " + seed);
    }
    assertFalse(reader.next(), "seed " + seed);
    assertEquals(head, reader.head());
  }

  private void checkReplay(CacheMedia media, Position head) {
    List<LogKey> live = new ArrayList<>();
    BitSet used = new BitSet();
    BitSet logSegments = new BitSet();
    logSegments.set(media.keyTail().cacheSegment());
    boolean dirty = head.equals(media.dirtyTail());
    long dirtyBytes = 0;
    long stale = 0;
    long ksets = 0;
    for (Written written : log) {
      if (written.next() >= 0) {
        logSegments.set(written.next());
      } else {
        ksets++;
      }
      dirty |= written.at().equals(media.dirtyTail());
      for (LogKey key : written.keys()) {
        if (unsigned(key.generation()).compareTo(unsigned(generations[key.segment()])) < 0) {
          stale++;
        } else {
          live.add(key);
          used.set(key.segment());
          boolean clean = (key.flags() & Layout.KEY_FLAG_CLEAN) != 0;
          dirtyBytes += dirty && !clean ? key.len() : 0;
        }
      }
    }
    List<LogKey> replayed = new ArrayList<>();
    LogReplay.Summary summary =
        LogReplay.run(media, Long.MAX_VALUE, (kset, key) -> replayed.add(keyOf(kset, key)));
    assertEquals(live, replayed, "seed " + seed);
    used.or(logSegments);
    Position newest = log.isEmpty() ? head : log.getLast().at();
    assertEquals(
        new LogReplay.Summary(
            head, newest, used, logSegments, live.size(), stale, ksets, dirty, dirtyBytes),
        summary);
  }

  private static LogKey keyOf(Kset kset, int key) {
    return new LogKey(
        kset.keyOffset(key),
        kset.keyLength(key),
        kset.keyFlags(key),
        kset.keySegment(key),
        kset.keySegmentOffset(key),
        kset.keyGeneration(key),
        kset.keyDataCrc(key));
  }

  private static BigInteger unsigned(long u64) {
    return new BigInteger(Long.toUnsignedString(u64));
  }

  private int[] shuffled() {
    int[] order = new int[2 + random.nextInt(MediaBuilder.SMALL_SEGMENTS - 9) + 7];
    int[] all = new int[MediaBuilder.SMALL_SEGMENTS];
    for (int i = 0; i < all.length; i++) {
      int j = random.nextInt(i + 1);
      all[i] = all[j];
      all[j] = i;
    }
    System.arraycopy(all, 0, order, 0, order.length);
    return order;
  }
}
