package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Iterator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import jpcache.backing.SimBacking;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Layout;
import jpcache.media.LogReplay;
import jpcache.media.MediaFormatter;
import jpcache.media.MetadataWriter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Problems;
import org.jspecify.annotations.Nullable;

/**
 * One history of a cache, by seed: requests of several queues, steps of maintenance, faults, stops
 * and crashes, each answer compared with a {@link SectorModel}, and the backing device with the log
 * ({@link PrefixCheck}).
 *
 * <p>One thread drives it; only the backing device may have another.
 */
final class EngineHistory implements AutoCloseable {
  private static final int QUEUE_BUFFER_BYTES = 24 << 20;
  private static final int MAX_WRITE_SECTORS = (8 << 20) / SECTOR;

  /** Of one subtree, so that it is one key and enters as a whole. */
  private static final int MAX_ZERO_SECTORS = (1 << 20) / SECTOR;

  private static final int SUBTREE_SECTORS = Layout.SUBTREE_BYTES / SECTOR;
  private static final long MAX_WAITING_BYTES = 40L << 20;
  private static final int QUEUES = 3;
  private static final int READS = 3;
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final SplittableRandom random;
  private final MemoryRegion region;
  private final Arena arena = Arena.ofShared();
  private final SimBacking backing;
  private final CacheOptions options;
  private final int sectors;
  private final String setting;

  /** For each sector the newest write that is visible, and the newest that must survive. */
  private final int[] visible;

  private final int[] durable;

  /** When each write became visible, counted from 1; 0 before. The first content is write 0. */
  private int[] appliedAt = new int[1 << 12];

  private int applied;
  private int version;

  /** Which writes were of zeros, and for each sector the newest of those. */
  private final BitSet zeroWrites = new BitSet();

  private final int[] lastZeros;

  private final PrefixCheck prefix;
  private final List<Client> clients = new ArrayList<>();
  private final List<Read> reads = new ArrayList<>();
  private final ArrayList<MemorySegment> readBuffers = new ArrayList<>();
  private final MemorySegment scratch;
  private Cache cache;

  /** Sits on most of the segments, so that the others are used again and again. */
  private @Nullable BlockQueue hog;

  private long waitingBytes;
  private boolean faulty;
  private int asleep;
  private boolean stopping;
  private final Counts counts = new Counts();
  private long now;

  EngineHistory(long seed, MemoryRegion region) {
    this.region = region;
    random = new SplittableRandom(seed);
    sectors = (random.nextInt(4) == 0 ? 3 << 20 : (8 + random.nextInt(40)) << 20) / SECTOR;
    boolean dataCrc = random.nextBoolean();
    int gcPercent = oneOf(0, 30, 70, 90);
    options =
        CacheOptions.defaults()
            .withLanes(oneOf(1, 2, 4, 16, 64))
            .withDurability(random.nextInt(3) == 0 ? Durability.FLUSH : Durability.ACK)
            .withWriteBack(oneOf(0, 100, 5000), oneOf(0, 5, 25, 100))
            .withSequentialBytes(oneOf(0, 64 << 10, 4 << 20))
            .withKeepPercent(oneOf(0, 50, CacheOptions.MAX_KEEP_PERCENT));
    boolean threaded = random.nextBoolean();
    setting =
        "seed "
            + seed
            + ", "
            + options
            + ", gc "
            + gcPercent
            + " %, data crc "
            + dataCrc
            + ", "
            + sectors
            + " sectors, threaded "
            + threaded;
    backing = new SimBacking(SectorModel.firstContent(sectors), threaded, random.nextLong());
    visible = new int[sectors];
    durable = new int[sectors];
    lastZeros = new int[sectors];
    prefix = new PrefixCheck(region, backing, sectors, setting);
    scratch = arena.allocate((long) sectors * SECTOR, 4096);
    for (int i = 0; i < READS; i++) {
      readBuffers.add(arena.allocate((long) MAX_WRITE_SECTORS * SECTOR));
    }
    MediaFormatter.format(region, dataCrc, CacheMode.WRITE_BACK, gcPercent);
    moveEmptyLogToTheEndOfItsSegment();
    cache = open();
    for (int i = 0; i < QUEUES; i++) {
      clients.add(new Client());
    }
    makeTheCacheSmall();
  }

  /** What a history has been through: a test that claims much should have seen much. */
  static final class Counts {
    long writtenBytes;
    long zeroedBytes;
    long checks;
    long waited;
    long openings;
    long batches;
    long failedBatches;
    long collections;
    long logSegments;

    void add(Counts other) {
      writtenBytes += other.writtenBytes;
      zeroedBytes += other.zeroedBytes;
      checks += other.checks;
      waited += other.waited;
      openings += other.openings;
      batches += other.batches;
      failedBatches += other.failedBatches;
      collections += other.collections;
      logSegments += other.logSegments;
    }

    @Override
    public String toString() {
      return String.format(
          "%d MiB written, %d MiB zeroed, %d writes waited, %d openings, %d batches written back,"
              + " %d failed, %d collections, %d changes of the log's segment, %d times checked by"
              + " fsck",
          writtenBytes >> 20,
          zeroedBytes >> 20,
          waited,
          openings,
          batches,
          failedBatches,
          collections,
          logSegments,
          checks);
    }
  }

  private int oneOf(int... choices) {
    return choices[random.nextInt(choices.length)];
  }

  Counts counts() {
    return counts;
  }

  void run(int operations) {
    for (int i = 0; i < operations; i++) {
      switch (random.nextInt(100)) {
        case 0, 1 -> flush();
        case 2, 3, 4, 5, 6, 7, 8, 9, 10 -> client().commit();
        case 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 -> stepUnlessAsleep();
        case 22 -> toggleFaults();
        case 23 -> reopenSometimes();
        case 24 -> now += random.nextLong(2 * SECOND);
        default -> {
          switch (random.nextInt(12)) {
            case 0, 1, 2 -> read();
            case 3 -> client().zero();
            default -> client().write();
          }
        }
      }
    }
    reopen(true, true);
    writeAllBack();
    requireSound("at the end");
  }

  // ---- requests ----

  private Client client() {
    return clients.get(random.nextInt(QUEUES));
  }

  private int randomSectors() {
    int most =
        switch (random.nextInt(asleep > 0 ? 20 : 100)) {
          case 0 -> MAX_WRITE_SECTORS;
          case 1, 2, 3, 4 -> 2048;
          case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 -> 256;
          default -> 16;
        };
    return 1 + random.nextInt(Math.min(most, sectors));
  }

  private void apply(int sector, int count, int writeVersion) {
    appliedAt[writeVersion] = ++applied;
    Arrays.fill(visible, sector, sector + count, writeVersion);
    if (zeroWrites.get(writeVersion)) {
      Arrays.fill(lastZeros, sector, sector + count, writeVersion);
    }
  }

  /** A client of the cache, with a queue and a batch that is not yet committed. */
  private final class Client {
    final MemorySegment buffer = arena.allocate(QUEUE_BUFFER_BYTES);
    final List<Write> staged = new ArrayList<>();
    BlockQueue queue = cache.openQueue();
    long used;
    boolean published;

    void write() {
      letWritersGoOn();
      int count = randomSectors();
      int sector = random.nextInt(sectors - count + 1);
      long bytes = (long) count * SECTOR;
      if (used + bytes > QUEUE_BUFFER_BYTES) {
        commit();
      }
      Write write = nextWrite(sector, count);
      SectorModel.fill(buffer, used, sector, count, version);
      int waiting = cache.backlog().size();
      queue.write((long) sector * SECTOR, (int) bytes, buffer.address() + used, write.fua, write);
      used += bytes;
      counts.writtenBytes += bytes;
      handedOver(write, cache.backlog().size() > waiting);
    }

    /** Zeroes some sectors, or discards them. */
    void zero() {
      letWritersGoOn();
      int sector = random.nextInt(sectors);
      int most = Math.min(sectors - sector, SUBTREE_SECTORS - sector % SUBTREE_SECTORS);
      int count = Math.min(Math.min(randomSectors(), most), MAX_ZERO_SECTORS);
      Write write = nextWrite(sector, count);
      zeroWrites.set(version);
      int waiting = cache.backlog().size();
      queue.writeZeroes(
          (long) sector * SECTOR, (long) count * SECTOR, random.nextBoolean(), write.fua, write);
      counts.zeroedBytes += (long) count * SECTOR;
      handedOver(write, cache.backlog().size() > waiting);
    }

    private Write nextWrite(int sector, int count) {
      if (++version == appliedAt.length) {
        appliedAt = Arrays.copyOf(appliedAt, 2 * version);
      }
      return new Write(sector, count, version, random.nextInt(10) == 0);
    }

    private void handedOver(Write write, boolean waits) {
      require(!write.completed, "a write completed before its commit");
      if (waits) {
        // The engine has published what this queue had staged: that came first.
        staged.forEach(Write::apply);
        published = !staged.isEmpty();
        write.waits = true;
        counts.waited++;
        waitingBytes += (long) write.count * SECTOR;
      } else {
        staged.add(write);
      }
    }

    void commit() {
      queue.commit();
      for (Write write : staged) {
        require(write.completed, "a staged write is not complete after its commit");
      }
      staged.clear();
      used = 0;
      published = false;
    }
  }

  private final class Write implements Completion {
    final int sector;
    final int count;
    final int number;
    final boolean fua;
    boolean isApplied;
    boolean completed;
    boolean waits;

    Write(int sector, int count, int number, boolean fua) {
      this.sector = sector;
      this.count = count;
      this.number = number;
      this.fua = fua;
    }

    void apply() {
      if (!isApplied) {
        isApplied = true;
        EngineHistory.this.apply(sector, count, number);
      }
    }

    @Override
    public void complete(int errno) {
      require(!completed, "a write completed twice");
      completed = true;
      if (waits) {
        waitingBytes -= (long) count * SECTOR;
      }
      if (errno != 0) {
        require(errno == Errno.ESHUTDOWN && stopping, "a write failed with " + errno);
        return;
      }
      apply();
      if (fua || options.durability() == Durability.ACK) {
        for (int s = sector; s < sector + count; s++) {
          if (appliedAt[durable[s]] < appliedAt[number]) {
            durable[s] = number;
          }
        }
      }
    }
  }

  /** A read that may still be under way, and what was visible when it began. */
  private static final class Read {
    final int sector;
    final int[] expected;
    final MemorySegment buffer;
    final boolean faulty;
    final AtomicInteger errno = new AtomicInteger(-1);

    Read(int sector, int[] expected, MemorySegment buffer, boolean faulty) {
      this.sector = sector;
      this.expected = expected;
      this.buffer = buffer;
      this.faulty = faulty;
    }
  }

  private void read() {
    if (readBuffers.isEmpty()) {
      finishReads();
    }
    int count = randomSectors();
    int sector = random.nextInt(sectors - count + 1);
    Read read =
        new Read(
            sector,
            Arrays.copyOfRange(visible, sector, sector + count),
            readBuffers.removeLast(),
            faulty);
    reads.add(read);
    if (random.nextBoolean()) {
      backing.holdReads();
    }
    client()
        .queue
        .read(
            (long) sector * SECTOR,
            count * SECTOR,
            read.buffer.address(),
            errno -> read.errno.compareAndSet(-1, errno));
    if (random.nextBoolean()) {
      finishReads();
    }
  }

  private void finishReads() {
    backing.releaseReads();
    for (Iterator<Read> i = reads.iterator(); i.hasNext(); ) {
      Read read = i.next();
      while (read.errno.get() < 0) {
        Thread.onSpinWait();
      }
      if (read.errno.get() == 0) {
        check(read);
      } else {
        require(
            read.errno.get() == Errno.EIO && (faulty || read.faulty),
            "a read failed with " + read.errno);
      }
      readBuffers.add(read.buffer);
      i.remove();
    }
  }

  private void check(Read read) {
    for (int i = 0; i < read.expected.length; i++) {
      checkSector(read.sector + i, read.expected[i], read.buffer, (long) i * SECTOR);
    }
  }

  private void checkSector(int sector, int expected, MemorySegment bytes, long at) {
    int got = SectorModel.versionOf(bytes, at, sector);
    // What was written since the read began may be seen.
    require(
        mayBe(sector, got, expected),
        () ->
            "sector "
                + sector
                + " read as "
                + got
                + ", expected "
                + expected
                + "; "
                + SectorModel.describe(bytes, at));
  }

  /** Whether a sector at one version may be found at another: that, or a later one. */
  private boolean mayBe(int sector, int got, int expected) {
    if (got == SectorModel.ZERO) {
      return zeroWrites.get(expected) || visibleSince(lastZeros[sector], expected);
    }
    return got == expected || visibleSince(got, expected);
  }

  /** Whether a write has become visible, after another. That it is of the sector, its data says. */
  private boolean visibleSince(int number, int older) {
    return number > 0 && number <= version && appliedAt[number] > appliedAt[older];
  }

  private void flush() {
    Client client = client();
    client.commit();
    boolean[] done = {false};
    client.queue.flush(errno -> done[0] = errno == 0);
    client.queue.commit();
    require(done[0], "a flush did not complete in its commit");
    System.arraycopy(visible, 0, durable, 0, sectors);
  }

  // ---- maintenance ----

  /** Now and then the maintenance thread gets no processor for long: the cache fills up. */
  private void stepUnlessAsleep() {
    if (asleep > 0) {
      asleep--;
      return;
    }
    step();
    if (random.nextInt(100) == 0) {
      asleep = random.nextInt(150);
    }
  }

  private long step() {
    Position before = cache.tails().dirtyTail();
    Position oldest = cache.tails().keyTail();
    long errors = cache.maintenance().writeBackErrors();
    long pause = cache.maintenance().step(now);
    if (cache.maintenance().writeBackErrors() != errors) {
      prefix.batchFailed();
      counts.failedBatches++;
    }
    if (!cache.tails().keyTail().equals(oldest)) {
      counts.collections++;
    }
    if (!cache.tails().dirtyTail().equals(before)) {
      prefix.dirtyTailMoved(before, cache.tails().dirtyTail());
      counts.batches++;
      if (before.cacheSegment() != cache.tails().dirtyTail().cacheSegment()) {
        counts.logSegments++;
      }
    }
    return pause;
  }

  private void toggleFaults() {
    faulty = random.nextInt(3) == 0;
    backing.fail(faulty ? oneOf(5, 50, 500, 1000) : 0);
  }

  private void heal() {
    faulty = false;
    backing.fail(0);
    now += 11 * SECOND; // no retry is further away
  }

  /** Where much waits, the next write might be held up, and nobody else would step. */
  private void letWritersGoOn() {
    if (waitingBytes < MAX_WAITING_BYTES) {
      return;
    }
    settleRequests();
    for (int step = 0; !cache.backlog().isEmpty(); step++) {
      long pause = step();
      require(pause == 0 || cache.backlog().isEmpty(), "writers wait for a clock");
      require(step < 100_000, "no progress");
    }
  }

  /** Nothing is under way, or holds room, or fails. */
  private void settleRequests() {
    heal();
    finishReads();
    for (Client client : clients) {
      client.commit();
    }
  }

  private void writeAllBack() {
    settleRequests();
    for (int step = 0; !cache.tails().dirtyTail().equals(cache.log().head().position()); step++) {
      if (step() > 0) {
        now += 10 * SECOND;
      }
      require(step < 100_000, "write-back makes no progress");
    }
    prefix.checkAll();
  }

  // ---- stops, crashes and what is left then ----

  private void reopenSometimes() {
    if (random.nextInt(25) == 0) {
      reopen(random.nextBoolean(), false);
    }
  }

  private void reopen(boolean orderly, boolean wroteAll) {
    finishReads();
    stopping = true;
    for (Client client : clients) {
      // What was published cannot be taken back: it may survive, and the model takes it that way.
      if (wroteAll || client.published || random.nextBoolean()) {
        client.commit();
      }
      client.staged.clear();
      client.used = 0;
      client.queue.close();
    }
    if (hog != null) {
      hog.close();
    }
    if (orderly) {
      cache.close();
      System.arraycopy(visible, 0, durable, 0, sectors);
    } else {
      cache.stopWaiting(); // ends what waits; nothing of it was acknowledged
    }
    require(waitingBytes == 0, "writes that waited were never answered");
    if (random.nextBoolean()) {
      backing.crash();
    }
    boolean wasFaulty = faulty;
    backing.fail(0);
    checkMedia(orderly);
    stopping = false;
    cache = open();
    clients.forEach(client -> client.queue = cache.openQueue());
    if (random.nextInt(3) > 0) {
      makeTheCacheSmall();
    }
    backing.fail(wasFaulty ? 50 : 0);
  }

  private Cache open() {
    now = System.nanoTime();
    counts.openings++;
    return Cache.open(region, backing, options);
  }

  private void makeTheCacheSmall() {
    hog = cache.openQueue();
    int left = 5 + random.nextInt(8);
    // Where room is scarce the hog would have to wait for write-back as everybody does.
    while (!cache.admission().isScarce()
        && cache.segments().usedCount() < cache.segments().count() - left) {
      hog.write(0, 3 << 20, scratch.address(), false, errno -> {});
    }
  }

  /** The media and the backing device, seen by an independent reader, hold what they must. */
  private void checkMedia(boolean orderly) {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    LogReplay.Summary summary = LogReplay.run(media, backing.sizeBytes(), (kset, key) -> {});
    require(summary.dirtyTailOnLog(), "dirty_tail is off the log");
    require(summary.staleKeys() == 0, () -> summary.staleKeys() + " stale keys");
    require(media.dirtyTail().equals(cache.tails().dirtyTail()), "dirty_tail is not durable");
    require(media.keyTail().equals(cache.tails().keyTail()), "key_tail is not durable");
    if (orderly) {
      require(summary.head().equals(cache.log().head().position()), "key_head");
      int used = cache.segments().usedCount();
      int referred = summary.used().cardinality();
      int held = options.lanes() + cache.zeros().heldSegments();
      require(
          referred <= used && used <= referred + held,
          () -> used + " segments used, " + referred + " referred to: references leak");
    }
    LogicalView view = new LogicalView(media, backing);
    view.read(0, scratch);
    for (int s = 0; s < sectors; s++) {
      int sector = s;
      int got = SectorModel.versionOf(scratch, (long) s * SECTOR, s);
      require(
          mayBe(s, got, durable[s]),
          () ->
              "after "
                  + (orderly ? "a stop" : "a kill")
                  + " sector "
                  + sector
                  + " is at "
                  + got
                  + ", must be at "
                  + durable[sector]
                  + ", was at "
                  + visible[sector]
                  + "; "
                  + SectorModel.describe(scratch, (long) sector * SECTOR));
      int found = got == SectorModel.ZERO ? lastZeros[s] : got;
      visible[s] = found;
      durable[s] = found;
    }
    requireSound(orderly ? "after a stop" : "after a kill");
    if (media.keyTail().equals(summary.head())) {
      moveEmptyLogToTheEndOfItsSegment();
    }
  }

  /** The rules of the format, by those who check media for a living. */
  private void requireSound(String when) {
    List<String> problems = Problems.of(region.name(), region.view(), backing);
    require(problems.isEmpty(), () -> when + " fsck finds " + problems);
    counts.checks++;
  }

  /**
   * Segments are large and the log is small: without this, few histories would see it go on in
   * another segment, and none at every place from which it can.
   */
  private void moveEmptyLogToTheEndOfItsSegment() {
    CacheMedia media = CacheMedia.read(region.name(), region.view());
    Position at = media.keyTail();
    int left = Layout.KSET_HEADER_BYTES + 8 * random.nextInt(6000 / 8);
    int offset = Layout.SEGMENT_DATA_BYTES - left;
    if (offset <= at.offsetBytes()) {
      return;
    }
    MemorySegment zeros = arena.allocate(left);
    long place = media.segments().dataOffset(at.cacheSegment()) + offset;
    region.persist(place, zeros.address(), left);
    MetadataWriter metadata = new MetadataWriter(region, media.segments());
    metadata.keyTail(new Position(at.cacheSegment(), offset));
    metadata.dirtyTail(new Position(at.cacheSegment(), offset));
  }

  private void require(boolean holds, String claim) {
    if (!holds) {
      throw new AssertionError(claim + " (" + setting + ", write " + version + ")");
    }
  }

  private void require(boolean holds, Supplier<String> claim) {
    if (!holds) {
      throw new AssertionError(claim.get() + " (" + setting + ", write " + version + ")");
    }
  }

  @Override
  public void close() {
    backing.close();
    arena.close();
  }
}
