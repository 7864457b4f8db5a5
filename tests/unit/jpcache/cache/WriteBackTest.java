package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import jpcache.backing.RecordingBacking;
import jpcache.backing.RecordingBacking.Flush;
import jpcache.backing.RecordingBacking.Request;
import jpcache.backing.RecordingBacking.Write;
import jpcache.backing.RecordingBacking.Zero;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.media.CacheMode;
import jpcache.media.Kset;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaException;
import jpcache.media.MediaFormatter;
import jpcache.media.Position;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** One batch of write-back at a time, by what the backing device and the media are told. */
@Timeout(300)
class WriteBackTest {
  private static final int DEVICE_BYTES = 8 << 20;
  private static final int BLOCK = 4096;
  private static final int KIB = 1 << 10;
  private static final int DEPTH = 32;

  private final Arena arena = Arena.ofShared();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(1 << 20);
  private final RecordingBacking backing = new RecordingBacking(DEVICE_BYTES);
  private Cache cache;
  private BlockQueue queue;
  private WriteBack writeBack;

  @BeforeEach
  void openCache() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
    queue = cache.openQueue();
    writeBack =
        new WriteBack(
            CacheMedia.read(region.name(), region.view()),
            region,
            cache.segments(),
            cache.zeros(),
            backing,
            cache.tails(),
            cache.map(),
            cache.log().head(),
            cache.directWrites());
  }

  @AfterEach
  void close() {
    queue.close();
    region.close();
    arena.close();
  }

  private void write(long offset, int length, char value) {
    queue.write(
        offset, length, buffer.fill((byte) value).address(), false, e -> assertEquals(0, e));
    queue.commit();
  }

  private Position logEnd() {
    return cache.log().head().position();
  }

  /** Runs a batch that is not left before its end. */
  private int run(Position end, long mostBytes, LongConsumer progress) {
    return writeBack.run(end, mostBytes, progress, () -> false);
  }

  private int writeBackAll() {
    return run(logEnd(), BatchSize.LEAST_BYTES, bytes -> {});
  }

  /** What the next batch asks of the device. */
  private List<Request> requestsOfNextBatch() {
    backing.forgetRequests();
    assertEquals(0, writeBackAll());
    return backing.requests();
  }

  // ---- order ----

  @Test
  void theDeviceIsFlushedWhenAllWritesHaveEndedAndThenDirtyTailMoves() throws Exception {
    write(0, BLOCK, 'a');
    write(1 << 20, BLOCK, 'b');
    List<Integer> requestsAtTail = new ArrayList<>();
    region.watch((offset, length) -> {
      if (isDirtyTail(offset)) {
        requestsAtTail.add(backing.requests().size());
      }
    });
    backing.hold();
    Thread batch = Thread.ofPlatform().start(this::writeBackAll);
    awaitRequests(2);
    awaitWaiting(batch);
    assertEquals(List.of(new Write(0, BLOCK), new Write(1 << 20, BLOCK)), backing.requests());
    assertEquals(List.of(), requestsAtTail);

    backing.release();
    batch.join();
    assertEquals(3, backing.requests().size());
    assertEquals(new Flush(), backing.requests().getLast());
    assertEquals(List.of(3), requestsAtTail, "dirty_tail, and the requests before it");
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  private static boolean isDirtyTail(long offset) {
    return offset == MediaBuilder.dirtyTailAt(0).offsetBytes()
        || offset == MediaBuilder.dirtyTailAt(1).offsetBytes();
  }

  private void awaitRequests(int count) {
    while (backing.requests().size() < count) {
      Thread.onSpinWait();
    }
  }

  private static void awaitWaiting(Thread thread) {
    while (thread.getState() != Thread.State.WAITING) {
      assertTrue(thread.isAlive(), "it has not waited");
      Thread.onSpinWait();
    }
  }

  @Test
  void aThirdMoreRequestsAreUnderWayThanTheDeviceWorksOnAndNoMore() throws Exception {
    int most = DEPTH * 4 / 3;
    for (int i = 0; i < 2 * DEPTH; i++) {
      write(2L * i * BLOCK, BLOCK, 'a');
    }
    backing.hold();
    Thread batch = Thread.ofPlatform().start(this::writeBackAll);
    awaitRequests(most);
    awaitWaiting(batch);
    assertEquals(most, backing.requests().size());
    backing.release();
    batch.join();
    assertEquals(2 * DEPTH + 1, backing.requests().size());
  }

  // ---- what is written ----

  @Test
  void writesAreSortedAndOfEachByteOnlyTheNewestIsWritten() {
    write(1 << 20, BLOCK, 'a');
    write(0, 4 * BLOCK, 'b');
    write(BLOCK, BLOCK, 'c');
    assertEquals(
        List.of(new Write(0, 4 * BLOCK), new Write(1 << 20, BLOCK), new Flush()),
        requestsOfNextBatch());
    assertEquals('b', backing.at(0));
    assertEquals('c', backing.at(BLOCK));
    assertEquals('b', backing.at(2 * BLOCK));
    assertEquals('a', backing.at(1 << 20));
  }

  @Test
  void neighboursThatLieApartInTheCacheAreGatheredUpToTheBuffersSize() {
    int size = 100 * KIB;
    for (int i = 3; i >= 0; i--) { // backwards, so that no two adjoin in the cache
      write((long) i * size, size, (char) ('a' + i));
    }
    assertEquals(
        List.of(new Write(0, 2 * size), new Write(2L * size, 2 * size), new Flush()),
        requestsOfNextBatch());
    for (int i = 0; i < 4; i++) {
      assertEquals('a' + i, backing.at((long) i * size), "neighbour " + i);
    }
  }

  @Test
  void dataThatIsInOnePieceIsWrittenInOnePieceHoweverLongItIs() {
    write(0, 1 << 20, 'a');
    assertEquals(List.of(new Write(0, 1 << 20), new Flush()), requestsOfNextBatch());
  }

  @Test
  void cleanDataIsNotWrittenAgain() {
    write(0, BLOCK, 'a');
    assertEquals(List.of(new Write(0, BLOCK), new Flush()), requestsOfNextBatch());
    queue.read(1 << 20, BLOCK, buffer.address(), e -> assertEquals(0, e)); // enters as clean
    assertEquals(0, cache.log().flush());
    assertTrue(!logEnd().equals(cache.tails().dirtyTail()), "the log has a clean key");
    assertEquals(List.of(), requestsOfNextBatch(), "nothing to flush, either");
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  @Test
  void zeroedRangesAreMadeZerosAndGiveUpTheirSpaceIfTheirClientSaidSo() {
    queue.writeZeroes(0, 2 << 20, true, false, e -> assertEquals(0, e));
    queue.writeZeroes(5 << 20, 1 << 20, false, false, e -> assertEquals(0, e));
    queue.commit();
    assertEquals(
        List.of(new Zero(0, 2 << 20, true), new Zero(5 << 20, 1 << 20, false), new Flush()),
        requestsOfNextBatch());
  }

  @Test
  void dataThatIsAllZerosIsMadeZerosWhereItIsLongAndKeepsItsSpace() {
    write(0, 64 * KIB, '\0');
    write(1 << 20, 32 * KIB, '\0');
    assertEquals(
        List.of(new Zero(0, 64 * KIB, false), new Write(1 << 20, 32 * KIB), new Flush()),
        requestsOfNextBatch());
  }

  @Test
  void aWriteIntoZerosIsWrittenBetweenThem() {
    queue.writeZeroes(0, 1 << 20, true, false, e -> assertEquals(0, e));
    queue.commit();
    write(256 * KIB, BLOCK, 'a');
    int rest = (1 << 20) - 256 * KIB - BLOCK;
    assertEquals(
        List.of(
            new Zero(0, 256 * KIB, true),
            new Write(256 * KIB, BLOCK),
            new Zero(256 * KIB + BLOCK, rest, true),
            new Flush()),
        requestsOfNextBatch());
  }

  @Test
  void progressTellsOfAllTheBytesOfTheBatchWhateverWasOverwritten() {
    write(0, 16 * BLOCK, 'a');
    write(0, 16 * BLOCK, 'b');
    long[] told = {0};
    assertEquals(0, run(logEnd(), BatchSize.LEAST_BYTES, bytes -> told[0] += bytes));
    assertEquals(2 * 16 * BLOCK, told[0]);
    assertEquals(2 * 16 * BLOCK, writeBack.writtenBackBytes());
  }

  /** Making zeros is quick, however long they are, and says nothing of the data behind them. */
  @Test
  void zerosAreNoProgressAlsoWhileKeysOfDirectWritesAreAhead() {
    queue.writeZeroes(0, 4 << 20, true, false, e -> assertEquals(0, e));
    queue.commit();
    write(4 << 20, 256 * KIB, 'a');
    Position end = logEnd();
    cache.setMode(CacheMode.WRITE_THROUGH);
    write(6 << 20, BLOCK, 'b');
    Write data = new Write(4 << 20, 256 * KIB);
    backing.forgetRequests();
    List<Boolean> dataWasWritten = new ArrayList<>();
    assertEquals(
        0,
        run(
            end,
            BatchSize.LEAST_BYTES,
            bytes -> dataWasWritten.add(backing.requests().contains(data))));
    assertEquals(List.of(true), dataWasWritten);
  }

  // ---- errors ----

  @Test
  void aWriteThatFailsFailsTheBatchWhichIsNeitherFlushedNorPassed() {
    write(0, BLOCK, 'a');
    write(1 << 20, BLOCK, 'b');
    Position before = cache.tails().dirtyTail();
    backing.fail(request -> request.equals(new Write(1 << 20, BLOCK)) ? Errno.ENOSPC : 0);
    assertEquals(Errno.ENOSPC, writeBackAll());
    assertEquals(List.of(new Write(0, BLOCK), new Write(1 << 20, BLOCK)), backing.requests());
    assertEquals(before, cache.tails().dirtyTail());
    assertEquals(0, writeBack.writtenBackBytes());
  }

  @Test
  void afterAFailedFlushTheWholeBatchIsWrittenAgain() {
    write(0, BLOCK, 'a');
    write(1 << 20, BLOCK, 'b');
    Position before = cache.tails().dirtyTail();
    backing.fail(request -> request instanceof Flush ? Errno.EIO : 0);
    assertEquals(Errno.EIO, writeBackAll());
    assertEquals(before, cache.tails().dirtyTail());
    backing.fail(request -> 0);
    assertEquals(
        List.of(new Write(0, BLOCK), new Write(1 << 20, BLOCK), new Flush()),
        requestsOfNextBatch());
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  /** The device may have any part of the first try, so a prefix of it is no prefix of the log. */
  @Test
  void whatFollowsAFailedBatchEndsWhereThatDidHoweverLittleIsAsked() {
    write(1 << 20, BLOCK, 'a');
    Position early = logEnd();
    write(0, BLOCK, 'b');
    Position late = logEnd();
    write(2 << 20, BLOCK, 'c');
    backing.fail(request -> request.equals(new Write(1 << 20, BLOCK)) ? Errno.EIO : 0);
    assertEquals(Errno.EIO, run(late, BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals('b', backing.at(0), "the first try has written something of the later key");
    backing.fail(request -> 0);
    backing.forgetRequests();
    assertEquals(0, run(early, BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals(
        List.of(new Write(0, BLOCK), new Write(1 << 20, BLOCK), new Flush()), backing.requests());
    assertEquals(late, cache.tails().dirtyTail());

    assertEquals(0, run(late, BatchSize.LEAST_BYTES, bytes -> {}), "and not for ever");
    assertEquals(late, cache.tails().dirtyTail());
  }

  @Test
  void aBatchThatIsLeftIsNoErrorAndWrittenAgainWhole() {
    write(0, BLOCK, 'a');
    write(1 << 20, BLOCK, 'b');
    Position before = cache.tails().dirtyTail();
    assertEquals(
        WriteBack.LEFT,
        writeBack.run(
            logEnd(), BatchSize.LEAST_BYTES, bytes -> {}, () -> !backing.requests().isEmpty()));
    assertEquals(List.of(new Write(0, BLOCK)), backing.requests());
    assertEquals(before, cache.tails().dirtyTail());
    assertEquals(
        List.of(new Write(0, BLOCK), new Write(1 << 20, BLOCK), new Flush()),
        requestsOfNextBatch());
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  @Test
  void dataThatCannotBeReadIsAnErrorOfTheBatchAndNothingElse() {
    write(0, BLOCK, 'a');
    write(BLOCK, BLOCK, 'b');
    backing.fail(request -> Errno.EFAULT); // as a system call has it that meets poison
    assertEquals(Errno.EFAULT, writeBackAll());
    assertEquals(0, writeBack.writtenBackBytes());
  }

  // ---- direct writes meanwhile ----

  @Test
  void whatADirectWriteHasReplacedIsNotBroughtBack() {
    write(0, 2 * BLOCK, 'a');
    Position before = logEnd();
    cache.setMode(CacheMode.WRITE_THROUGH);
    write(0, BLOCK, 'b');
    assertEquals('b', backing.at(0));
    backing.forgetRequests();
    assertEquals(0, run(before, BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals(List.of(new Write(BLOCK, BLOCK), new Flush()), backing.requests());
    assertEquals('b', backing.at(0));
    assertEquals('a', backing.at(BLOCK));
    assertEquals(
        List.of(new Flush()), requestsOfNextBatch(), "what is on the device needs no more");
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  @Test
  void aDirectWriteOfTheSameBytesGoesWhenWriteBackHasEnded() throws Exception {
    write(0, BLOCK, 'a');
    Position end = logEnd();
    cache.setMode(CacheMode.WRITE_THROUGH);
    backing.hold();
    Thread batch = Thread.ofPlatform().start(() -> run(end, BatchSize.LEAST_BYTES, bytes -> {}));
    awaitRequests(1);
    write(0, BLOCK, 'b'); // does not wait for it
    assertEquals(List.of(new Write(0, BLOCK)), backing.requests());
    backing.release();
    batch.join();
    assertEquals(new Write(0, BLOCK), backing.requests().get(1), "the direct write");
    assertEquals('b', backing.at(0));
  }

  @Test
  void writeBackWaitsForADirectWriteOfTheSameBytesAndThenHasNothingToWrite() throws Exception {
    write(0, BLOCK, 'a');
    Position end = logEnd();
    cache.setMode(CacheMode.WRITE_THROUGH);
    backing.hold();
    write(0, BLOCK, 'b');
    Thread batch = Thread.ofPlatform().start(() -> run(end, BatchSize.LEAST_BYTES, bytes -> {}));
    awaitWaiting(batch);
    assertEquals(1, backing.requests().size(), "write-back has begun: " + backing.requests());
    backing.release();
    batch.join();
    assertEquals(List.of(new Write(0, BLOCK), new Flush()), backing.requests());
    assertEquals('b', backing.at(0));
    assertEquals(end, cache.tails().dirtyTail());
  }

  /** Marks of before the failure are not believed: the device may have lost what they stand for. */
  @Test
  void whatDirectWritesBroughtComesAgainAfterAFailedFlush() {
    cache.setMode(CacheMode.WRITE_THROUGH);
    write(0, BLOCK, 'a');
    backing.fail(request -> request instanceof Flush ? Errno.EIO : 0);
    int[] errno = {-1};
    queue.flush(e -> errno[0] = e);
    queue.commit();
    assertEquals(Errno.EIO, errno[0]);
    backing.fail(request -> 0);
    assertEquals(List.of(new Write(0, BLOCK), new Flush()), requestsOfNextBatch());
  }

  // ---- the next batch, read ahead ----

  private int writeBackMib(int mostMib) {
    return run(logEnd(), (long) mostMib << 20, bytes -> {});
  }

  /** A MiB each, whose values are those letters; returns where the second one's keys begin. */
  private Position writeMibs(String values) {
    write(0, 1 << 20, values.charAt(0));
    Position second = logEnd();
    for (int i = 1; i < values.length(); i++) {
      write((long) i << 20, 1 << 20, values.charAt(i));
    }
    return second;
  }

  private MemorySegment logAt(Position position) {
    long segment = cache.segments().dataOffset(position.cacheSegment());
    return region.writable().asSlice(segment + position.offsetBytes(), Kset.sizeBytes(1));
  }

  @Test
  void theNextBatchIsReadWhileTheDeviceWorksOnThisOne() throws Exception {
    Position second = writeMibs("ab");
    backing.hold();
    Thread batch = Thread.ofPlatform().start(() -> writeBackMib(1));
    awaitRequests(1);
    awaitWaiting(batch);
    logAt(second).fill((byte) 0); // who reads it now finds no more
    backing.release();
    batch.join();
    assertEquals(second, cache.tails().dirtyTail());

    backing.forgetRequests();
    assertEquals(0, writeBackMib(1));
    assertEquals(List.of(new Write(1 << 20, 1 << 20), new Flush()), backing.requests());
    assertEquals(logEnd(), cache.tails().dirtyTail());
    assertEquals('b', backing.at(1 << 20));
  }

  @Test
  void aBatchIsAsLargeAsIsAskedWhateverWasReadAhead() {
    writeMibs("abcdefg");
    assertEquals(0, writeBackMib(2));
    backing.forgetRequests();
    assertEquals(0, writeBackMib(1));
    assertEquals(List.of(new Write(2 << 20, 1 << 20), new Flush()), backing.requests());
    backing.forgetRequests();
    assertEquals(0, writeBackMib(3));
    assertEquals(
        List.of(
            new Write(3 << 20, 1 << 20),
            new Write(4 << 20, 1 << 20),
            new Write(5 << 20, 1 << 20),
            new Flush()),
        backing.requests());
  }

  @Test
  void afterAFailureWhatWasReadAheadWaitsForTheBatchThatFailed() {
    Position second = writeMibs("abc");
    backing.fail(request -> request instanceof Flush ? Errno.EIO : 0);
    assertEquals(Errno.EIO, writeBackMib(1));
    backing.fail(request -> 0);
    backing.forgetRequests();
    assertEquals(0, writeBackMib(1));
    assertEquals(List.of(new Write(0, 1 << 20), new Flush()), backing.requests());
    assertEquals(second, cache.tails().dirtyTail());
  }

  @Test
  void aDamagedLogBehindTheBatchIsTheNextOnesFailure() {
    Position second = writeMibs("ab");
    Kset outside = new Kset();
    outside.clear();
    outside.append(DEVICE_BYTES, BLOCK, 0, 0, 0, 0, 0);
    outside.seal();
    logAt(second)
        .copyFrom(MemorySegment.ofAddress(outside.address()).reinterpret(Kset.sizeBytes(1)));
    assertEquals(0, writeBackMib(1));
    assertEquals(second, cache.tails().dirtyTail());
    assertThrows(MediaException.class, () -> writeBackMib(1));
    assertThrows(MediaException.class, () -> writeBackMib(1));
    assertEquals(second, cache.tails().dirtyTail());
  }

  /** What only direct writes ask for, a look at whether there is anything newer, ends with them. */
  @Test
  void directWritesAreDoneWithAlsoWhenTheirKeysWereReadAhead() {
    write(0, 1 << 20, 'a');
    cache.setMode(CacheMode.WRITE_THROUGH);
    write(2 << 20, BLOCK, 'b');
    assertEquals(0, writeBackMib(1));
    assertEquals(0, writeBackMib(1));
    assertEquals(logEnd(), cache.tails().dirtyTail());

    cache.setMode(CacheMode.WRITE_BACK);
    write(3 << 20, BLOCK, 'c');
    Position middle = logEnd();
    write(3 << 20, BLOCK, 'd');
    backing.forgetRequests();
    assertEquals(0, run(middle, BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals(List.of(new Write(3 << 20, BLOCK), new Flush()), backing.requests());
    assertEquals('c', backing.at(3 << 20));
  }

  @Test
  void whoIsToldOfProgressMayFailAndTheBatchIsWrittenAgain() {
    for (int i = 0; i < 3; i++) {
      write((long) i << 20, BLOCK, 'a');
    }
    assertThrows(
        UncheckedIOException.class,
        () ->
            run(
                logEnd(),
                BatchSize.LEAST_BYTES,
                bytes -> {
                  throw new UncheckedIOException(new IOException("key_tail"));
                }));
    assertEquals(0, run(logEnd(), BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }

  /** What is under way is at the device; nothing waits for this thread. */
  @Test
  void whoIsToldOfProgressMayWaitForDirectWritesToWhatIsNextToBeWrittenBack() {
    write(0, 1 << 20, 'a');
    write(4 << 20, 1 << 20, 'a');
    cache.setMode(CacheMode.WRITE_THROUGH);
    boolean[] told = {false};
    assertEquals(
        0,
        run(
            logEnd(),
            BatchSize.LEAST_BYTES,
            bytes -> {
              if (!told[0]) {
                told[0] = true;
                for (int i = 0; i < 64; i++) { // as many as may be under way
                  write(4 << 20, 1 << 20, 'b');
                }
                cache.directWrites().awaitRoom();
              }
            }));
    assertTrue(told[0]);
  }

  @Test
  void aBatchWhoseDirtyTailCouldNotBeStoredIsNotFollowedByAShorterOne() {
    write(0, BLOCK, 'a');
    final Position between = logEnd();
    write(0, BLOCK, 'b');
    region.watch((offset, length) -> {
      throw new UncheckedIOException(new IOException("dirty_tail"));
    });
    assertThrows(
        UncheckedIOException.class, () -> run(logEnd(), BatchSize.LEAST_BYTES, bytes -> {}));
    region.watch((offset, length) -> {});
    assertEquals(0, run(between, BatchSize.LEAST_BYTES, bytes -> {}));
    assertEquals(logEnd(), cache.tails().dirtyTail());
  }
}
