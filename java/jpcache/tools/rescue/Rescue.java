package jpcache.tools.rescue;

import java.lang.foreign.Arena;
import java.util.HexFormat;
import java.util.Optional;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.SyncBacking;
import jpcache.base.UserException;
import jpcache.extent.ExtentMap;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReader;
import jpcache.media.MediaException;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.media.RestOfLog;
import jpcache.media.SharedZeros;
import jpcache.media.Undrained;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Brings all dirty data of a cache to its backing device and marks it clean, offline.
 *
 * <p>The log is walked from dirty_tail in batches of key sets. Of each batch the newest data is
 * written, sorted by offset; then the backing device is flushed; then dirty_tail is moved behind
 * the batch, durably. In that order: whatever is cut off at whatever moment, the key sets from
 * dirty_tail on still hold all that the backing device may lack, so a rescue can be stopped and run
 * again. When it is done dirty_tail is key_head, and the cache is as valid as before.
 *
 * <p>What a killed process has left in the processors' caches is made durable first ({@link
 * Undrained}): a power cut that took the newest key set back would leave dirty_tail off the log.
 *
 * <p>The whole log is validated before anything is written. Memory is bounded by the batch. Used by
 * one thread; the region and the backing device are the caller's alone.
 *
 * <p>Kernel counterpart: {@code cache_writeback.c: cache_writeback_fn}.
 */
public final class Rescue {
  /** A batch has no more key sets than this ... */
  public static final int BATCH_KSETS = 256;

  /** ... and ends with the one that brings its data to this. */
  private static final long BATCH_BYTES = 256L << 20;

  /**
   * How to deal with what is damaged.
   *
   * @param force data whose checksum does not fit is written nevertheless
   * @param skipUnreadable data that cannot be read is given up
   * @param batchKsets the most key sets of a batch
   */
  public record Options(boolean force, boolean skipUnreadable, int batchKsets) {}

  /**
   * What a rescue did, or would do.
   *
   * @param keys those of the key sets that were looked at, stale and clean ones too
   * @param bytes written to the backing device
   * @param skippedBytes given up
   */
  public record Summary(long ksets, long keys, long bytes, long skippedBytes) {}

  /** Is told before the first batch, and after each. */
  @FunctionalInterface
  public interface Progress {
    /** So many of the key sets are done. */
    void at(long ksets, long ofKsets);
  }

  private final CacheMedia media;
  private final BackingDevice backing;
  private final Options options;
  private final Consumer<String> notices;
  private final Progress progress;
  private final WriteBatch batch = new WriteBatch();
  private final SharedZeros zeros;

  /**
   * A rescue of a cache.
   *
   * @param notices is told of each damage that the options let pass, in one line
   */
  public Rescue(
      CacheMedia media,
      BackingDevice backing,
      Options options,
      Consumer<String> notices,
      Progress progress) {
    this.media = media;
    zeros = new SharedZeros(media.view(), media.segments());
    this.backing = backing;
    this.options = options;
    this.notices = notices;
    this.progress = progress;
  }

  /**
   * Finds out what a rescue would do, and writes nothing.
   *
   * @throws UserException if it would fail: the log cannot be believed, or a checksum does not fit
   */
  public Summary dryRun() {
    return batches(validate().ksets(), (planned, end) -> {});
  }

  /**
   * Rescues. Durable when this returns, on both devices.
   *
   * @param region the cache's, for dirty_tail
   * @throws UserException if the log cannot be believed, a checksum does not fit, or a device
   *     fails; what has been done until then stays done
   */
  public Summary run(PmemRegion region) {
    Log log = validate();
    Undrained.drain(region, media, log.newest(), log.head());
    MetadataWriter writer = new MetadataWriter(region, media.segments());
    try (BatchWriter data = new BatchWriter(media, backing, options.skipUnreadable(), notices)) {
      Summary summary =
          batches(
              log.ksets(),
              (planned, end) -> {
                if (planned.extents() > 0) {
                  data.write(planned);
                  SyncBacking.flush(backing);
                }
                writer.dirtyTail(end);
              });
      return new Summary(summary.ksets(), summary.keys(), summary.bytes(), data.skippedBytes());
    }
  }

  /** What is done with a batch of the log that ends at a place. */
  @FunctionalInterface
  private interface Deed {
    void with(WriteBatch batch, Position end);
  }

  /**
   * What the whole log is.
   *
   * @param ksets how many, last ones too, there are from dirty_tail on
   * @param newest where the newest one begins; the head if there is none
   * @param head where it ends
   */
  private record Log(long ksets, Position newest, Position head) {}

  private Summary batches(long total, Deed deed) {
    LogReader reader = new LogReader(media, media.dirtyTail(), logicalBytes());
    long ksets = 0;
    long keys = 0;
    long bytes = 0;
    try (Arena arena = Arena.ofConfined()) {
      KeyData data =
          media.info().dataCrc() ? new KeyData(media.view(), media.segments(), arena) : null;
      progress.at(0, total);
      while (ksets < total) {
        batch.clear();
        for (int n = 0;
            n < options.batchKsets()
                && batch.addedDataBytes() < BATCH_BYTES
                && batch.addedZeroBytes() < WriteBatch.ZERO_BYTES_AT_ONCE
                && reader.next();
            n++) {
          take(reader, data);
          keys += reader.kset().keyCount();
          ksets++;
        }
        batch.plan();
        bytes += batch.bytes();
        deed.with(batch, reader.head());
        progress.at(ksets, total);
      }
    }
    return new Summary(ksets, keys, bytes, 0);
  }

  /** Walks the whole log once. */
  private Log validate() {
    try {
      return walked();
    } catch (MediaException | PoisonedMemoryException e) {
      throw DirtyPart.refusal(media, e);
    }
  }

  private Log walked() {
    LogReader reader = new LogReader(media, media.keyTail(), logicalBytes());
    Position newest = reader.head();
    boolean seen = false;
    long ksets = 0;
    while (reader.next()) {
      newest = reader.ksetPosition();
      seen |= newest.equals(media.dirtyTail());
      ksets += seen ? 1 : 0;
    }
    Position head = reader.head();
    if (!seen && !head.equals(media.dirtyTail())) {
      throw DirtyPart.of(media).refusal();
    }
    if (head.offsetBytes() == Layout.SEGMENT_DATA_BYTES) {
      throw new UserException(
          media.device()
              + ": key_head "
              + head
              + ": the newest key set fills its segment to the last byte, so dirty_tail cannot be"
              + " set behind it; no writer makes such media, look at the data with `jpcache view`");
    }
    tellRest(head);
    return new Log(ksets, newest, head);
  }

  /** Says so where valid key sets stand behind a torn one, which no reader reaches. */
  private void tellRest(Position head) {
    Optional<RestOfLog> rest;
    try {
      rest = RestOfLog.behind(media, head);
    } catch (PoisonedMemoryException e) {
      return; // it is no part of the log
    }
    rest.ifPresent(behind -> {
      RestOfLog.Counts counts = behind.count();
      if (counts.ksets() > 0) {
        notices.accept(
            String.format(
                "%s: a torn key set at %s is followed by valid ones: %s, from %s on, are not"
                    + " reached; look at it with `jpcache fsck` before you go on",
                media.device(), behind.torn(), counts, behind.first()));
      }
    });
  }

  private long logicalBytes() {
    return Math.min(backing.sizeBytes(), ExtentMap.MAX_LOGICAL_BYTES);
  }

  /** Adds a key set's live keys to the batch. */
  private void take(LogReader reader, @Nullable KeyData data) {
    Kset kset = reader.kset();
    for (int key = 0; key < kset.keyCount(); key++) {
      int segment = kset.keySegment(key);
      if (kset.keyIsStale(key, media.segments().generation(segment))) {
        continue; // stale: its segment could be reused because the key had been written back
      }
      if (kset.keyIsClean(key)) {
        batch.addClean(kset.keyOffset(key), kset.keyLength(key));
        continue;
      }
      if (data != null) {
        verify(reader.ksetPosition(), kset, key, data);
      }
      addDirty(kset, key);
    }
  }

  private void addDirty(Kset kset, int key) {
    long offset = kset.keyOffset(key);
    int length = kset.keyLength(key);
    int segment = kset.keySegment(key);
    int place = kset.keySegmentOffset(key);
    if (zeros.holds(segment, place)) {
      batch.addZeros(offset, length, place == SharedZeros.UNMAPPED_AT);
    } else if (SharedZeros.areMuch(
        media.view(), media.segments().dataOffset(segment) + place, length)) {
      batch.addZeroData(offset, length, segment, place);
    } else {
      batch.add(offset, length, segment, place);
    }
  }

  private void verify(Position at, Kset kset, int key, KeyData data) {
    int actual;
    try {
      actual = data.crc(kset, key);
    } catch (PoisonedMemoryException e) {
      return; // the writer meets it again and deals with it
    }
    if (actual == kset.keyDataCrc(key)) {
      return;
    }
    String what =
        String.format(
            "%s: key %d of the key set at %s: data_crc 0x%s, but the data of logical bytes %d to %d"
                + " gives 0x%s",
            media.device(),
            key,
            at,
            HexFormat.of().toHexDigits(kset.keyDataCrc(key)),
            kset.keyOffset(key),
            kset.keyOffset(key) + kset.keyLength(key),
            HexFormat.of().toHexDigits(actual));
    if (!options.force()) {
      throw new UserException(what + "; --force writes it nevertheless");
    }
    notices.accept(what + "; written nevertheless");
  }
}
