package jpcache.tools;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import jpcache.backing.MemoryBacking;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import jpcache.tools.rescue.Rescue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A log that is damaged between key_tail and dirty_tail:
 *
 * <pre>
 *   A = 1    X    last    |    A = 2    last    |    B = 3
 *   key_tail              |                     |    dirty_tail
 * </pre>
 *
 * The backing device has all before dirty_tail. Whatever happens to X, no tool brings the old A
 * back, and B stays.
 */
class DamagedLogTest {
  private static final int PAGE = 4096;
  private static final int SIZE = Kset.sizeBytes(1);
  private static final int DATA = 1;
  private static final int DIRTY = 5;
  private static final int LAST = MediaBuilder.SMALL_SEGMENTS - 1;
  private static final int A = 0;
  private static final int X = 2 * PAGE;
  private static final int B = 4 * PAGE;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final byte[] slow = new byte[4 << 20];
  private final MemoryBacking backing = new MemoryBacking(slow);
  private MediaBuilder m;

  @BeforeEach
  void build() {
    m = MediaBuilder.create(shm.resolve("cache"), MediaBuilder.SMALL_BYTES);
    for (int value = 1; value <= 4; value++) {
      m.media()
          .asSlice(MediaBuilder.dataOffset(DATA) + (long) value * PAGE, PAGE)
          .fill((byte) value);
    }
    m.kset(0, 0, key(A, 1));
    m.kset(0, SIZE, key(X, 4));
    m.lastKset(0, 2 * SIZE, LAST);
    m.kset(LAST, 0, key(A, 2));
    m.lastKset(LAST, SIZE, DIRTY);
    m.kset(DIRTY, 0, key(B, 3));
    dirtyTail(DIRTY, 0);
    Arrays.fill(slow, A, A + PAGE, (byte) 2);
    Arrays.fill(slow, X, X + PAGE, (byte) 4);
  }

  @AfterEach
  void unmap() {
    m.close();
  }

  private static LogKey key(int at, int value) {
    return LogKey.of(at, PAGE, DATA, value * PAGE);
  }

  /** In both replicas, as after several updates. */
  private void dirtyTail(int segment, int offset) {
    m.tail(MediaBuilder.dirtyTailAt(0), 7, segment, offset);
    m.tail(MediaBuilder.dirtyTailAt(1), 8, segment, offset);
  }

  private void damageReplica() {
    m.breakSeal(MediaBuilder.dirtyTailAt(0));
  }

  /** What may happen to a kset. */
  enum Damage {
    TORN,
    CLEARED,
    LEADS_OUT,
    UNREADABLE
  }

  private static Structure x() {
    return MediaBuilder.ksetAt(0, SIZE, 1);
  }

  private void damage(Damage damage) {
    switch (damage) {
      case TORN -> m.breakSeal(x());
      case CLEARED -> m.media().asSlice(x().offsetBytes(), SIZE).fill((byte) 0);
      case LEADS_OUT ->
          m.forgeU32(
              x(),
              MediaBuilder.keyOffset(x(), 0) - x().offsetBytes() + Layout.KEY_SEG_ID_AT,
              MediaBuilder.SMALL_SEGMENTS);
      case UNREADABLE -> {
        // All of the last segment's ksets, that is: a file can lose its end only.
        try (FileChannel file = FileChannel.open(shm.resolve("cache"), StandardOpenOption.WRITE)) {
          file.truncate(MediaBuilder.dataOffset(LAST));
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
    }
  }

  private FsckReport check(boolean cutLog) {
    return new Fsck("cache", m.view(), backing, cutLog, phase -> {}).run();
  }

  private int repair(boolean cutLog) {
    return check(cutLog).repair(new MemoryRegion(m.media()));
  }

  /** Those of severity, phase and field. */
  private List<String> findings() {
    return check(false).phases().stream()
        .flatMap(phase ->
            phase.findings().stream()
                .map(f -> phase.number() + " " + f.severity() + " " + f.field()))
        .toList();
  }

  private String told(boolean cutLog) {
    return check(cutLog).phases().get(3).findings().getLast().toString();
  }

  private CacheMedia media() {
    return CacheMedia.read("cache", m.view());
  }

  private DirtyPart.Where where() {
    return DirtyPart.of(media()).where();
  }

  private Rescue rescue() {
    return new Rescue(
        media(), backing, new Rescue.Options(false, false, 256), notice -> {}, (done, of) -> {});
  }

  private String refusal() {
    return "" + assertThrows(UserException.class, () -> rescue().dryRun()).getMessage();
  }

  private void rescueBringsTheNewestDataOf(int b) {
    rescue().run(new MemoryRegion(m.media()));
    requirePage(2, slow, A);
    requirePage(4, slow, X);
    requirePage(b, slow, B);
    assertEquals(List.of(), findings(), "after a rescue");
  }

  private static void requirePage(int value, byte[] device, int at) {
    byte[] page = new byte[PAGE];
    Arrays.fill(page, (byte) value);
    assertArrayEquals(page, Arrays.copyOfRange(device, at, at + PAGE));
  }

  private byte[] viewed() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(slow.length, PAGE);
      new LogicalView(DirtyPart.of(media()).mended(), backing).read(0, bytes);
      return bytes.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aRepairMakesDirtyTailKeyTailAndRescueBringsTheNewestData(Damage damage) {
    damage(damage);
    assertEquals(List.of("4 problem dirty_tail"), findings());
    assertEquals(DirtyPart.Where.BEHIND_DAMAGE, where());
    String told = told(false);
    assertTrue(told.contains("--repair writes dirty_tail 5:0 as key_tail"), told);
    assertEquals(1, repair(false));
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(3);
  }

  @ParameterizedTest
  @EnumSource
  void cutLogBringsNothingOldBackEither(Damage damage) {
    damage(damage);
    assertEquals(1, repair(true));
    rescueBringsTheNewestDataOf(3);
  }

  @ParameterizedTest
  @EnumSource
  void untilThenRescueSendsToTheRepairAndTheNewestDataIsViewedAndCounted(Damage damage) {
    damage(damage);
    String refusal = refusal();
    assertTrue(refusal.startsWith("cache: dirty_tail 5:0: "), refusal);
    assertTrue(refusal.contains(" is damaged before it at "), refusal);
    assertTrue(refusal.endsWith("; run `jpcache fsck --repair` first"), refusal);
    byte[] viewed = viewed();
    requirePage(2, viewed, A);
    requirePage(3, viewed, B);
    assertEquals(OptionalLong.of(PAGE), DirtyData.bytes(media()));
  }

  /** The kset at dirty_tail may be another log's then, and its data older than A and B. */
  @Test
  void zerosWithNothingBehindAreLeftToAPersonAsLongAsAKsetStandsAtDirtyTail() {
    m.media().asSlice(x().offsetBytes(), 2L * SIZE).fill((byte) 0); // the last one, too
    assertEquals(List.of("4 problem dirty_tail"), findings());
    assertTrue(told(false).contains("copy the cache"), () -> told(false));
    assertEquals(0, repair(false));
    assertTrue(refusal().contains("; copy the cache before "), this::refusal);
    assertEquals(OptionalLong.empty(), DirtyData.bytes(media()));
    assertEquals(1, repair(true), "who says that the log is damaged may say so");
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(3);
  }

  @ParameterizedTest
  @EnumSource
  void whereAllIsCleanTheDamagedLogIsForgotten(Damage damage) {
    m.media().asSlice(MediaBuilder.dataOffset(DIRTY), SIZE).fill((byte) 0);
    damage(damage);
    assertEquals(List.of("4 problem dirty_tail"), findings());
    assertEquals(OptionalLong.of(0), DirtyData.bytes(media()));
    assertEquals(1, repair(false));
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(0);
  }

  @ParameterizedTest
  @EnumSource(names = {"TORN", "LEADS_OUT"})
  void withADamagedReplicaOfDirtyTailNothingIsRepairedThatCouldTellMore(Damage damage) {
    damage(damage);
    damageReplica();
    String end = damage == Damage.TORN ? "5 notice kset.crc" : "5 problem key.cache_seg_id";
    assertEquals(List.of("4 notice dirty_tail.crc", "4 problem dirty_tail", end), findings());
    assertEquals(0, repair(false));
    assertEquals(0, repair(true));
    assertTrue(told(false).contains("copy the cache"), () -> told(false));
    String refusal = refusal();
    assertTrue(refusal.contains("; copy the cache before "), refusal);
    assertTrue(refusal.contains("a replica of dirty_tail is damaged"), refusal);
    assertEquals(OptionalLong.empty(), DirtyData.bytes(media()));
  }

  /**
   * A torn kset with nothing behind it would get its terminator, and then look like a log's end.
   */
  @Test
  void aTornEndThatTellsOfDamageIsNotMadeAnEnd() {
    m.breakSeal(MediaBuilder.ksetAt(DIRTY, 0, 1));
    dirtyTail(DIRTY, 3 * SIZE);
    damageReplica();
    assertEquals(0, repair(false));
    assertEquals(DirtyPart.Where.IN_DOUBT, where());
    m.breakSeal(MediaBuilder.dirtyTailAt(1));
    assertEquals(List.of("4 problem dirty_tail.crc", "5 notice kset.crc"), findings());
    assertEquals(0, repair(false), "dirty_tail is lost altogether");
  }

  @Test
  void withADamagedReplicaADirtyTailOffAWholeLogIsAnOldOneAndAllIsDirty() {
    dirtyTail(9, 0);
    damageReplica();
    assertEquals(List.of("4 notice dirty_tail.crc", "4 problem dirty_tail"), findings());
    assertEquals(DirtyPart.Where.ALL, where());
    assertEquals(OptionalLong.of(3 * PAGE), DirtyData.bytes(media()));
    assertEquals(1, repair(false));
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(3);
  }

  @Test
  void aDirtyTailApartFromAWholeLogWhereNoKsetStandsIsNoneAndAllIsDirty() {
    dirtyTail(9, 0);
    assertEquals(DirtyPart.Where.ALL, where());
    assertEquals(1, repair(false));
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(3);
  }

  @Test
  void ksetsBehindTheEndOfALogThatLeadElsewhereTellNothing() {
    m.kset(DIRTY, 3 * SIZE, key(B, 1));
    m.lastKset(DIRTY, 4 * SIZE, DIRTY); // and comes back to itself
    dirtyTail(9, 0);
    assertEquals(DirtyPart.Where.ALL, where());
    m.kset(9, 0, key(B, 1));
    assertEquals(DirtyPart.Where.IN_DOUBT, where());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63})
  void aDirtyTailThatTheLogHasGoneOverIsAnOldOne(int insideBytes) {
    dirtyTail(LAST, insideBytes);
    assertEquals(DirtyPart.Where.ALL, where());
    dirtyTail(0, 2 * SIZE + insideBytes);
    assertEquals(DirtyPart.Where.ALL, where(), "behind a last key set of the log");
    assertEquals(1, repair(false));
    rescueBringsTheNewestDataOf(3);
  }

  @ParameterizedTest
  @EnumSource(names = {"TORN", "LEADS_OUT"})
  void aLostDirtyTailOfADamagedLogIsWrittenWithCutLogAlone(Damage damage) {
    damage(damage);
    damageReplica();
    m.breakSeal(MediaBuilder.dirtyTailAt(1));
    assertEquals(0, repair(false));
    assertTrue(told(false).contains("--repair --cut-log"), () -> told(false));
    assertTrue(repair(true) > 0);
    assertEquals(0, check(false).problems());
  }

  @Test
  void aLostDirtyTailOfALogThatCannotBeReadIsLeft() {
    damage(Damage.UNREADABLE);
    damageReplica();
    m.breakSeal(MediaBuilder.dirtyTailAt(1));
    assertEquals(List.of("4 problem dirty_tail.crc", "5 problem memory"), findings());
    assertEquals(0, repair(false));
    assertEquals(0, repair(true));
    assertTrue(told(true).contains("(memory that cannot be read at byte "), () -> told(true));
  }

  /** The log is the one that begins at dirty_tail, and of that as much as is sound stays. */
  @Test
  void cutLogEndsTheLogThatBeginsAtDirtyTail() {
    damage(Damage.TORN);
    m.kset(DIRTY, SIZE, LogKey.of(A, PAGE, MediaBuilder.SMALL_SEGMENTS, 0));
    assertEquals(List.of("4 problem dirty_tail", "5 problem key.cache_seg_id"), findings());
    assertEquals(0, repair(false));
    assertTrue(refusal().contains("key.cache_seg_id at byte "), this::refusal);
    assertEquals(2, repair(true));
    assertEquals(List.of(), findings());
    rescueBringsTheNewestDataOf(3);
  }

  @Test
  void staleKeysAreNoDirtyData() {
    m.generation(9, 1);
    m.kset(DIRTY, SIZE, LogKey.of(8 * PAGE, PAGE, 9, 0));
    assertEquals(OptionalLong.of(PAGE), DirtyData.bytes(media()));
  }
}
