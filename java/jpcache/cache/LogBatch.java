package jpcache.cache;

import java.util.Arrays;
import java.util.function.Consumer;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.Position;
import jpcache.media.SharedZeros;
import jpcache.pmem.PmemRegion;

/**
 * The ksets that one batch of write-back takes from the log, and what of their keys' data is the
 * newest.
 *
 * <p>May be read early and in steps: which keys it has depends only on where it begins and on how
 * large it may be, since what dirty_tail has not passed does not change.
 *
 * <p>Zeros are not written but made: keys of zeroed ranges are known by where they point, and large
 * data that is all zeros by a look at it, which is over with the first byte that is none.
 *
 * <p>Used by one thread.
 */
final class LogBatch {
  /** A batch ends before its size is reached if its keys are for less than 2 KiB each. */
  static final int KEYS_PER_MIB = 512;

  /** A batch is looked at after each key set. */
  private static final int MOST_KEYS = WriteBatch.MAX_KEYS - Layout.KSET_MAX_KEYS;

  private final CacheMedia media;
  private final PmemRegion region;
  private final SegmentTable segments;
  private final ZeroExtents zeros;
  private final long logicalBytes;

  private final WriteBatch writes = new WriteBatch();
  private boolean planned;
  private LogReader reader;
  private Position begin;
  private long mostBytes;
  private int[] dataCrcs = new int[KEYS_PER_MIB];
  private long roomBytes;

  /** Where its keys of zeroed ranges begin, whatever lies over them. */
  private long[] zeroKeyOffsets = new long[KEYS_PER_MIB];

  private int zeroKeys;

  /**
   * An empty one.
   *
   * @param logicalBytes the size of the logical device
   */
  LogBatch(
      CacheMedia media,
      PmemRegion region,
      SegmentTable segments,
      ZeroExtents zeros,
      long logicalBytes,
      Position begin) {
    this.media = media;
    this.region = region;
    this.segments = segments;
    this.zeros = zeros;
    this.logicalBytes = logicalBytes;
    this.begin = begin;
    reader = new LogReader(media, begin, logicalBytes);
  }

  /** Forgets all keys, and begins at a place of the log. */
  void clear(Position newBegin) {
    begin = newBegin;
    reader = new LogReader(media, newBegin, logicalBytes);
    mostBytes = 0;
    writes.clear();
    planned = false;
    roomBytes = 0;
    zeroKeys = 0;
  }

  /** Whether this can go on as a batch that begins there and may be so large. */
  boolean suits(Position wantedBegin, long wantedBytes) {
    return begin.equals(wantedBegin) && mostBytes <= wantedBytes;
  }

  /** Behind its last kset. */
  Position end() {
    return reader.head();
  }

  /**
   * Takes more of the log, and plans what is to be written.
   *
   * @param to where the log ends for now
   * @param newMostBytes it takes no more kset when its data has so many bytes, or as many keys as
   *     go with that; not less than at the last call
   * @param passed told where each kset ends that is taken
   * @throws jpcache.base.UserException if the log is damaged; what has been taken is of no use then
   */
  void extend(Position to, long newMostBytes, Consumer<Position> passed) {
    mostBytes = newMostBytes;
    long mostKeys = Math.min((mostBytes >> 20) * KEYS_PER_MIB, MOST_KEYS);
    while (writes.addedDataBytes() < mostBytes
        && writes.addedZeroBytes() < WriteBatch.ZERO_BYTES_AT_ONCE
        && writes.keys() < mostKeys
        && !reader.head().equals(to)
        && reader.next()) {
      take(reader.kset());
      planned = false;
      passed.accept(reader.head());
    }
    if (!planned) {
      writes.plan();
      planned = true;
    }
  }

  private void take(Kset kset) {
    for (int key = 0; key < kset.keyCount(); key++) {
      int segment = kset.keySegment(key);
      if (kset.keyIsStale(key, segments.generation(segment))) {
        continue;
      }
      if (kset.keyIsClean(key)) {
        writes.addClean(kset.keyOffset(key), kset.keyLength(key));
      } else {
        takeDirty(kset, key);
      }
    }
  }

  private void takeDirty(Kset kset, int key) {
    long offset = kset.keyOffset(key);
    int length = kset.keyLength(key);
    int segment = kset.keySegment(key);
    int place = kset.keySegmentOffset(key);
    roomBytes += zeros.roomBytes(segment, place, length);
    keepDataCrc(kset.keyDataCrc(key));
    if (zeros.holds(segment, place)) {
      writes.addZeros(offset, length, place == SharedZeros.UNMAPPED_AT);
      if (zeroKeys == zeroKeyOffsets.length) {
        zeroKeyOffsets = Arrays.copyOf(zeroKeyOffsets, 2 * zeroKeys);
      }
      zeroKeyOffsets[zeroKeys++] = offset;
    } else if (SharedZeros.areMuch(region.view(), segments.dataOffset(segment) + place, length)) {
      writes.addZeroData(offset, length, segment, place);
    } else {
      writes.add(offset, length, segment, place);
    }
  }

  /** Of the key that is added next. */
  private void keepDataCrc(int dataCrc) {
    int key = writes.keys();
    if (key >= dataCrcs.length) {
      dataCrcs = Arrays.copyOf(dataCrcs, 2 * key);
    }
    dataCrcs[key] = dataCrc;
  }

  /** What is to be written, sorted; and the keys, in the order of the log. */
  WriteBatch writes() {
    return writes;
  }

  /** The data_crc of one of the keys that are not clean. */
  int dataCrc(int key) {
    return dataCrcs[key];
  }

  /** How much room its keys' data takes that are not clean. */
  long roomBytes() {
    return roomBytes;
  }

  /** How many of its keys are of zeroed ranges. */
  int zeroKeys() {
    return zeroKeys;
  }

  /** Where on the logical device such a key begins. */
  long zeroKeyOffset(int zeroKey) {
    return zeroKeyOffsets[zeroKey];
  }
}
