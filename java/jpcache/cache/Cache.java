package jpcache.cache;

import java.lang.foreign.Arena;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.BackingDevice;
import jpcache.base.UserException;
import jpcache.block.BlockDevice;
import jpcache.block.BlockQueue;
import jpcache.extent.ExtentMap;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.KernelStatus;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.media.ReplayProgress;
import jpcache.media.Undrained;
import jpcache.metrics.Registry;
import jpcache.pmem.PmemRegion;

/**
 * The cache engine: a block device whose writes land in persistent memory, in front of a slow one.
 *
 * <p>Life of a write: room is taken from a lane's {@link DataHead}, the data is copied there; at
 * the batch's commit all copies are drained at once, each key enters its subtree and, under the
 * subtree's lock, an open kset of the {@link KeyLog}; the ksets are closed and drained; then the
 * writes complete. A power cut before that leaves data that nothing points to. Where a full cache
 * has no room ({@link Admission}) the write waits in the {@link Backlog}, and nothing behind it
 * does.
 *
 * <p>Life of a read: the subtree tells the extents; those are copied out of persistent memory, the
 * holes between them are read from the backing device, asynchronously, and enter the cache as clean
 * data ({@link Fills}).
 *
 * <p>Life of the data afterwards: {@link WriteBack} brings the log to the backing device in order,
 * the {@link GarbageCollector} forgets the oldest of what has been brought there; {@link
 * Maintenance} says when.
 *
 * <p>The engine has no thread and no timer of its own: whoever owns it calls {@link
 * Maintenance#step} from one thread, after the time that the last step returned, and whenever what
 * {@link #setWakeUp} was given runs.
 */
public final class Cache implements BlockDevice, AutoCloseable {
  private final PmemRegion region;
  private final BackingDevice backing;
  private final CacheOptions options;
  private final CacheMedia media;
  private final CacheMetrics metrics = new CacheMetrics();
  private final Settings settings;
  private final ExtentMap map;
  private final SegmentTable segments;
  private final LentSegments lentSegments;
  private final ZeroExtents zeros;
  private final DataHead[] lanes;
  private final KeyLog log;
  private final Tails tails;
  private final Backlog backlog;
  private final Admission admission;
  private final Fills fills;
  private final DirectWrites directWrites;
  private final Prefetches prefetches;
  private final WriteBack writeBack;
  private final GarbageCollector collector;
  private final Maintenance maintenance;
  private final long dirtyBytesAtStart;
  private final AtomicInteger queues = new AtomicInteger();
  private final Set<CacheQueue> openQueues = ConcurrentHashMap.newKeySet();
  private volatile Runnable wakeUp = () -> {};
  private volatile boolean keysOutliveExtents;

  private Cache(
      PmemRegion region,
      BackingDevice backing,
      CacheOptions options,
      CacheMedia media,
      ReplayedLog replayed) {
    this.region = region;
    this.backing = backing;
    this.options = options;
    this.media = media;
    map = replayed.map;
    LogReplay.Summary summary = replayed.summary;
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    settings = new Settings(metadata, media.info());
    segments = new SegmentTable(media.segments(), metadata, replayed.references, this::wake);
    lentSegments = new LentSegments(region, segments, this::roomMayHaveCome);
    zeros = new ZeroExtents(region, segments, replayed.zeros.found());
    log = new KeyLog(region, segments, zeros, summary.head(), options.lanes());
    lanes = new DataHead[options.lanes()];
    for (int lane = 0; lane < lanes.length; lane++) {
      lanes[lane] = new DataHead(segments);
    }
    tails = new Tails(metadata, media.keyTail(), media.dirtyTail());
    dirtyBytesAtStart = summary.dirtyBytes();
    admission = new Admission(segments, options.lanes(), BatchSize.mostBytes(capacityBytes()));
    backlog = new Backlog(admission, this::wake);
    fills = new Fills(this);
    prefetches = new Prefetches(this, Arena.ofAuto());
    boolean direct = policy().isDirect();
    directWrites = new DirectWrites(this, new BackingFlushes(backing, direct), direct);
    writeBack =
        new WriteBack(
            media, region, segments, zeros, backing, tails, map, log.head(), directWrites);
    collector =
        new GarbageCollector(
            media, map, segments, zeros, tails, backing.sizeBytes(), new HotData(this, media));
    maintenance = new Maintenance(this, writeBack, collector, System.nanoTime());
  }

  /**
   * Opens the cache on a region: validates its media, replays its log, and makes durable what it
   * has found, should the last process have been killed before it could ({@link Undrained}).
   *
   * <p>The cache uses both devices but does not own them: whoever opened them closes them after it.
   *
   * @throws jpcache.media.MediaException if the media cannot be believed
   * @throws UserException if the cache cannot be served in front of this backing device
   */
  public static Cache open(PmemRegion region, BackingDevice backing, CacheOptions options) {
    return open(region, backing, options, new ReplayProgress(System::nanoTime, keys -> {}));
  }

  /** As the other, and tells of a replay that takes long. */
  public static Cache open(
      PmemRegion region, BackingDevice backing, CacheOptions options, ReplayProgress progress) {
    CacheMedia read = CacheMedia.read(region.name(), region.view());
    ReplayedLog replayed = ReplayedLog.of(read, backing.sizeBytes(), progress);
    requireRoomForLastKset(region, replayed.summary.head());
    replayed.tellRest();
    CacheMedia media = replayed.media;
    Undrained.drain(region, media, replayed.summary);
    if (!media.dirtyTail().equals(read.dirtyTail())) {
      replaceDirtyTail(region, media);
    }
    return new Cache(region, backing, options, media, replayed);
  }

  /**
   * An old dirty_tail must not stay on media: the log may grow onto that place, and then all that
   * was acknowledged until then would count as written back.
   */
  private static void replaceDirtyTail(PmemRegion region, CacheMedia media) {
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    metadata.dirtyTail(media.dirtyTail());
    metadata.dirtyTail(media.dirtyTail()); // and in the place of the old one
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
    return Math.max(4096, backing.preferredBlockBytes());
  }

  @Override
  public boolean readOnly() {
    return false;
  }

  /** Direct writes of zeros take what the backing device takes, and nobody knows what that is. */
  @Override
  public boolean zeroesFast() {
    return !policy().isDirect();
  }

  @Override
  public BlockQueue openQueue() {
    CacheQueue queue = new CacheQueue(this, Math.floorMod(queues.getAndIncrement(), lanes.length));
    openQueues.add(queue);
    return queue;
  }

  /** Write-back, garbage collection and the writes that wait: for one thread to step. */
  public Maintenance maintenance() {
    return maintenance;
  }

  /** Whom to call, from any thread and without waiting, when a step has become due. */
  public void setWakeUp(Runnable maintenanceThread) {
    wakeUp = maintenanceThread;
  }

  void wake() {
    wakeUp.run();
  }

  void closed(CacheQueue queue) {
    if (openQueues.remove(queue)) {
      wake();
    }
  }

  /** To be called when what writes wait for has come, or can be made, by another than them. */
  void roomMayHaveCome() {
    if (!backlog.isEmpty()) {
      wake();
    }
  }

  /**
   * Fails the writes that wait for room, and leaves what is asked for early and the batch that is
   * being written back: what is to stop must not wait for a slow device.
   */
  public void stopWaiting() {
    backlog.close();
    directWrites.close();
    prefetches.close();
    maintenance.stopWriteBack();
  }

  /** Makes durable what {@link Durability#FLUSH} has left open. All queues are closed before. */
  @Override
  public void close() {
    stopWaiting();
    log.flush();
  }

  /** What the kernel would say of this cache now. */
  public KernelStatus status() {
    return new KernelStatus(
        media.superblock(),
        settings.info(),
        segments.usedCount(),
        log.head().position(),
        tails.dirtyTail(),
        tails.keyTail());
  }

  /** What can be changed while the cache is in use. */
  Settings settings() {
    return settings;
  }

  /**
   * Sets the share of used segments, in percent, from which on garbage is collected. Durable, and
   * in effect, when this returns.
   *
   * @throws UserException if it is not 0 to 90
   */
  public void setGcPercent(int percent) {
    settings.setGcPercent(percent);
    wake();
  }

  /** The mode in which batches begin; it may not be durable yet. */
  public CacheMode mode() {
    return settings.mode();
  }

  /**
   * Changes the mode: batches that begin behave so when this returns. Safe at any time, a power cut
   * included: keys of all modes mean the same.
   *
   * @return ends when the mode is durable, and all is on the backing device if it is one without
   *     dirty data
   */
  public Drain setMode(CacheMode mode) {
    if (settings.setMode(mode)) {
      return drain(true);
    }
    Drain nothing = new Drain(0, false);
    nothing.complete(0);
    return nothing;
  }

  /** A direct write has ended: a change of mode may wait for that. */
  void directWriteLeft() {
    if (settings.modeIsToBeStored()) {
      wake();
    }
  }

  /** Has everything that is dirty now brought to the backing device, at once. */
  public Drain drain() {
    return drain(false);
  }

  private Drain drain(boolean storesMode) {
    Drain drain = maintenance.drain(storesMode);
    wake();
    return drain;
  }

  /** Has what this cache counts shown by a registry. */
  public void register(Registry registry) {
    metrics.register(registry, this, writeBack);
  }

  CacheMetrics metrics() {
    return metrics;
  }

  PmemRegion region() {
    return region;
  }

  BackingDevice backing() {
    return backing;
  }

  CacheOptions options() {
    return options;
  }

  /** When writes are acknowledged. */
  public Durability durability() {
    return options.durability();
  }

  boolean dataCrc() {
    return media.info().dataCrc();
  }

  int gcPercent() {
    return settings.info().gcPercent();
  }

  ExtentMap map() {
    return map;
  }

  SegmentTable segments() {
    return segments;
  }

  LentSegments lentSegments() {
    return lentSegments;
  }

  ZeroExtents zeros() {
    return zeros;
  }

  ReadMarks readMarks() {
    return segments.marks();
  }

  KeyLog log() {
    return log;
  }

  Tails tails() {
    return tails;
  }

  WritePolicy policy() {
    return settings.policy();
  }

  DirectWrites directWrites() {
    return directWrites;
  }

  /** Whether what a read has brought may enter the cache now. */
  boolean fillsMisses() {
    return policy().fillsMisses() && !needsRoom();
  }

  /**
   * Whether bytes that no tree has may have a live key on media, so that a power cut would bring
   * them back. Asked with a subtree's lock held, of that subtree.
   */
  boolean keysMayOutliveExtents() {
    return keysOutliveExtents || collector.isEvicting();
  }

  /** An extent is about to leave its tree, with the lock held, and its key stays on media. */
  void keysOutliveExtents() {
    keysOutliveExtents = true;
  }

  /** Whether no queue has a batch that was begun in another mode than the present one. */
  boolean batchesAreCurrent() {
    WritePolicy current = policy();
    return openQueues.stream().noneMatch(queue -> queue.isBehind(current));
  }

  Fills fills() {
    return fills;
  }

  Prefetches prefetches() {
    return prefetches;
  }

  Admission admission() {
    return admission;
  }

  /** Whether writes wait for room, or soon would. */
  boolean roomIsShort() {
    return !backlog.isEmpty() || admission.isScarce();
  }

  /** Whether writes wait for room, or more segments are used than the cache wants. */
  boolean needsRoom() {
    return usedPercent() >= gcPercent() || roomIsShort();
  }

  Backlog backlog() {
    return backlog;
  }

  int usedPercent() {
    return (int) (100L * segments.usedCount() / segments.count());
  }

  /** What the backing device does not have, in percent of all that the cache could hold. */
  int dirtyPercent() {
    return (int) (100 * dirtyBytes() / capacityBytes());
  }

  /** How much data the segments could hold. */
  long capacityBytes() {
    return (long) segments.count() * Layout.SEGMENT_DATA_BYTES;
  }

  /** What the log has brought and write-back has not dealt with. */
  long dirtyBytes() {
    return loggedDirtyBytes() - writeBack.writtenBackBytes();
  }

  /** What the log has brought, from the first dirty key on. */
  long loggedDirtyBytes() {
    return dirtyBytesAtStart + log.head().writtenDirtyBytes();
  }

  /**
   * Frees the segments of lanes that have been filled and hold nothing any more: a write that found
   * no room may have left them so.
   *
   * @return whether there were any
   */
  boolean freeUsedUpLanes() {
    int before = segments.usedCount();
    for (DataHead lane : lanes) {
      lane.leaveIfFull();
    }
    return segments.usedCount() < before;
  }

  /** Makes sure that there are zeros to point to; false if the cache is full. */
  boolean prepareZeros(int lane) {
    return zeros.prepare(lanes[lane]);
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

  /** Takes room in the queue's own lane for several pieces like this one, if that is sensible. */
  boolean takeAhead(int lane, int wantedBytes, DataHead.Ahead ahead) {
    return lanes[lane].takeAhead(wantedBytes, ahead);
  }
}
