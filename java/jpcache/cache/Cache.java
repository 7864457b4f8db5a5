package jpcache.cache;

import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.BackingDevice;
import jpcache.base.UserException;
import jpcache.block.BlockDevice;
import jpcache.block.BlockQueue;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.KernelStatus;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.Position;
import jpcache.pmem.PmemRegion;

/**
 * The cache engine: a block device whose writes land in persistent memory, in front of a slow one.
 *
 * <p>Life of a write: room is taken from a lane's {@link DataHead}, the data is copied there; at
 * the batch's commit all copies are drained at once, each key enters its subtree and, under the
 * subtree's lock, an open kset of the {@link KeyLog}; the ksets are closed and drained; then the
 * writes complete. A power cut before that leaves data that nothing points to.
 *
 * <p>Life of a read: the subtree tells the extents; those are copied out of persistent memory, the
 * holes between them are read from the backing device, asynchronously.
 *
 * <p>The engine has no thread and no timer of its own. Under {@link Durability#FLUSH} whoever owns
 * it calls {@link #closeOpenKsets} every second or so.
 *
 * <p>Data is not yet written back nor garbage collected: a cache that is full refuses writes with
 * ENOSPC and keeps serving reads.
 */
public final class Cache implements BlockDevice {
  private final PmemRegion region;
  private final BackingDevice backing;
  private final CacheOptions options;
  private final CacheMedia media;
  private final ExtentMap map;
  private final SegmentTable segments;
  private final DataHead[] lanes;
  private final KeyLog log;
  private final AtomicInteger queues = new AtomicInteger();

  private Cache(
      PmemRegion region,
      BackingDevice backing,
      CacheOptions options,
      CacheMedia media,
      ExtentMap map,
      LogReplay.Summary replayed) {
    this.region = region;
    this.backing = backing;
    this.options = options;
    this.media = media;
    this.map = map;
    segments = new SegmentTable(media.segments(), replayed.used());
    log = new KeyLog(region, segments, replayed.head(), options.lanes());
    lanes = new DataHead[options.lanes()];
    for (int lane = 0; lane < lanes.length; lane++) {
      lanes[lane] = new DataHead(segments);
    }
  }

  /**
   * Opens the cache on a region: validates its media and replays its log. Nothing is written before
   * the first write request.
   *
   * <p>The cache uses both devices but does not own them: whoever opened them closes them after it.
   *
   * @throws jpcache.media.MediaException if the media cannot be believed
   * @throws UserException if the cache cannot be served in front of this backing device
   */
  public static Cache open(PmemRegion region, BackingDevice backing, CacheOptions options) {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    if (media.info().mode() != CacheMode.WRITE_BACK) {
      throw new UserException(
          region.name()
              + ": the cache is in mode "
              + media.info().mode()
              + ", and only write-back can be served so far");
    }
    ExtentMap map = new ExtentMap(backing.sizeBytes());
    LogReplay.Summary replayed = LogReplay.run(media, backing.sizeBytes(), inserter(map));
    requireRoomForLastKset(region, replayed.head());
    return new Cache(region, backing, options, media, map, replayed);
  }

  private static LogReplay.KeyVisitor inserter(ExtentMap map) {
    return (Kset kset, int key) -> {
      long offset = kset.keyOffset(key);
      Subtree subtree = map.subtree(offset);
      synchronized (subtree) {
        subtree.insert(extent(offset, kset, key));
      }
    };
  }

  private static long extent(long offsetBytes, Kset kset, int key) {
    return Extent.ofBytes(
        offsetBytes, kset.keyLength(key), kset.keySegment(key), kset.keySegmentOffset(key));
  }

  /** Every writer keeps this room; without it the log could not even be led to another segment. */
  private static void requireRoomForLastKset(PmemRegion region, Position head) {
    if (head.offsetBytes() > Layout.SEGMENT_DATA_BYTES - Layout.KSET_HEADER_BYTES) {
      throw new UserException(
          region.name()
              + ": key_head "
              + head
              + ": no room for a last kset behind the newest one, so the log cannot go on;"
              + " look at the data with `jpcache view`");
    }
  }

  @Override
  public long sizeBytes() {
    return backing.sizeBytes();
  }

  @Override
  public int minimumBlockBytes() {
    return Math.max(Layout.SECTOR_BYTES, backing.blockBytes());
  }

  @Override
  public int preferredBlockBytes() {
    return Math.max(4096, backing.directAlignmentBytes());
  }

  @Override
  public boolean readOnly() {
    return false;
  }

  @Override
  public BlockQueue openQueue() {
    return new CacheQueue(this, Math.floorMod(queues.getAndIncrement(), lanes.length));
  }

  /** Makes durable what {@link Durability#FLUSH} has left open; cheap when there is nothing. */
  public void closeOpenKsets() {
    log.flush();
  }

  /** What the kernel would say of this cache now. */
  public KernelStatus status() {
    return new KernelStatus(
        media.superblock(),
        media.info(),
        segments.usedCount(),
        log.head().position(),
        media.dirtyTail(),
        media.keyTail());
  }

  PmemRegion region() {
    return region;
  }

  BackingDevice backing() {
    return backing;
  }

  Durability durability() {
    return options.durability();
  }

  boolean dataCrc() {
    return media.info().dataCrc();
  }

  ExtentMap map() {
    return map;
  }

  SegmentTable segments() {
    return segments;
  }

  KeyLog log() {
    return log;
  }

  /**
   * Takes room for data, from the queue's own lane if it has any.
   *
   * @return false if no lane has: the cache is full
   */
  boolean takeRoom(int lane, int wantedBytes, DataHead.Room room) {
    for (int i = 0; i < lanes.length; i++) {
      if (lanes[(lane + i) % lanes.length].take(wantedBytes, room)) {
        return true;
      }
    }
    return false;
  }
}
