package jpcache.tools.fsck;

import static jpcache.media.MediaBuilder.cacheInfoAt;
import static jpcache.media.MediaBuilder.dataOffset;
import static jpcache.media.MediaBuilder.dirtyTailAt;
import static jpcache.media.MediaBuilder.generationAt;
import static jpcache.media.MediaBuilder.keyTailAt;
import static jpcache.media.MediaBuilder.segmentInfoAt;
import static jpcache.media.MediaBuilder.superblockAt;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import jpcache.backing.MemoryBacking;
import jpcache.base.Crc32c;
import jpcache.media.Kset;
import jpcache.media.Label;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every rule finds its fault: planted alone in a sound cache, it gives exactly the findings of its
 * row, and none is left after a repair where the row says so.
 */
class FsckFaultsTest {
  /** What a fault's repair leaves. */
  private enum After {
    CLEAN,
    /** Only with --cut-log. */
    CLEAN_IF_CUT,
    THE_SAME
  }

  private record Fault(
      String name, Consumer<MediaBuilder> plant, After after, List<String> findings) {}

  private static final int BLOCK = 4096;
  private static final int DATA_CRC_FLAGS = MediaBuilder.FLAGS | 1;
  private static final int GENERATION = 5;

  /** The second kset of the sound cache, where dirty_tail is, and where the log ends. */
  private static final int SECOND = Kset.sizeBytes(2);

  private static final int HEAD = SECOND + Kset.sizeBytes(3);

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final MemoryBacking backing = new MemoryBacking(new byte[16 << 20]);

  private static Fault fault(
      String name, Consumer<MediaBuilder> plant, After after, String... findings) {
    return new Fault(name, plant, after, List.of(findings));
  }

  private static List<Fault> faults() {
    List<Fault> all = new ArrayList<>();
    metadataFaults(all);
    tailFaults(all);
    logFaults(all);
    keyFaults(all);
    return all;
  }

  private static void metadataFaults(List<Fault> all) {
    all.add(
        fault(
            "a damaged label",
            m -> {
              label(16 << 20).write(new MemoryRegion(m.media()));
              m.media().set(ValueLayout.JAVA_BYTE, 300, (byte) 1);
            },
            After.THE_SAME,
            "1 notice label.crc"));
    all.add(
        fault(
            "a label that names another device",
            m -> label(8 << 20).write(new MemoryRegion(m.media())),
            After.THE_SAME,
            "7 notice label"));
    all.add(
        fault(
            "a label that names the device",
            m -> label(16 << 20).write(new MemoryRegion(m.media())),
            After.CLEAN));
    all.add(
        fault(
            "a superblock whose checksum does not fit",
            m -> m.breakSeal(superblockAt()),
            After.THE_SAME,
            "1 problem superblock.crc"));
    all.add(
        fault(
            "no superblock",
            m ->
                m.media().asSlice(Layout.SUPERBLOCK_OFFSET, Layout.SUPERBLOCK_BYTES).fill((byte) 0),
            After.THE_SAME,
            "1 problem superblock.magic"));
    all.add(
        fault(
            "no valid cache info",
            m -> m.breakSeal(cacheInfoAt(1)),
            After.THE_SAME,
            "2 problem cache_info.crc"));
    all.add(
        fault(
            "a torn replica of cache info",
            m -> m.u32(cacheInfoAt(0), Layout.CACHE_INFO_N_SEGS_AT, 9),
            After.CLEAN,
            "2 notice cache_info.crc"));
    all.add(
        fault(
            "two cache infos of one seq that differ",
            m -> {
              Structure other = cacheInfoAt(0);
              copy(m, cacheInfoAt(1), other);
              m.forgeU32(other, Layout.CACHE_INFO_FLAGS_AT, MediaBuilder.FLAGS | 1 << 6);
            },
            After.CLEAN,
            "2 problem cache_info.seq"));
    all.add(
        fault(
            "two cache infos of one seq that agree",
            m -> copy(m, cacheInfoAt(1), cacheInfoAt(0)),
            After.CLEAN));
    all.add(
        fault(
            "more segments than there are",
            m -> m.cacheInfo(0, 32, MediaBuilder.FLAGS),
            After.THE_SAME,
            "2 problem cache_info.n_segs"));
    all.add(
        fault(
            "a list of segments that comes back",
            m -> m.segmentInfo(7, 3, 2),
            After.THE_SAME,
            "3 problem segment_info.next_seg"));
    all.add(
        fault(
            "a torn replica of a segment info",
            m -> m.u32(segmentInfoAt(9, 0), Layout.SEGMENT_INFO_NEXT_AT, 9),
            After.CLEAN,
            "3 notice segment_info.crc"));
    all.add(
        fault(
            "a torn replica of a generation",
            m -> m.u32(generationAt(1, 0), Layout.GENERATION_GEN_AT, 9),
            After.CLEAN,
            "3 notice generation.crc"));
    all.add(
        fault(
            "a torn first generation",
            m -> m.breakSeal(generationAt(9, 1)),
            After.CLEAN,
            "3 notice generation.crc"));
    all.add(
        fault(
            "a generation without a valid replica",
            m -> {
              m.breakSeal(generationAt(9, 1));
              m.u32(generationAt(9, 0), Layout.GENERATION_GEN_AT, 9);
            },
            After.THE_SAME,
            "3 problem generation.crc"));
  }

  private static void tailFaults(List<Fault> all) {
    all.add(
        fault(
            "no key_tail",
            m -> m.breakSeal(keyTailAt(0)),
            After.THE_SAME,
            "4 problem key_tail.crc"));
    all.add(
        fault(
            "a torn replica of key_tail",
            m -> m.u32(keyTailAt(1), Layout.POSITION_SEG_ID_AT, 9),
            After.CLEAN,
            "4 notice key_tail.crc"));
    all.add(
        fault(
            "no dirty_tail",
            m -> m.breakSeal(dirtyTailAt(0)),
            After.CLEAN,
            "4 problem dirty_tail.crc"));
    all.add(
        fault(
            "a dirty_tail outside of the cache",
            m -> m.dirtyTail(31, 0),
            After.CLEAN,
            "4 problem dirty_tail.cache_seg_id"));
    all.add(
        fault(
            "a torn replica of dirty_tail",
            m -> m.u32(dirtyTailAt(1), Layout.POSITION_SEG_ID_AT, 9),
            After.CLEAN,
            "4 notice dirty_tail.crc"));
    all.add(
        fault(
            "a dirty_tail inside a kset",
            m -> m.dirtyTail(0, SECOND + 24),
            After.CLEAN,
            "4 problem dirty_tail"));
    all.add(
        fault(
            "a dirty_tail behind key_tail",
            m -> {
              m.keyTail(0, SECOND);
              m.dirtyTail(0, 0);
            },
            After.CLEAN,
            "4 problem dirty_tail"));
    all.add(
        fault(
            "a dirty_tail at the head",
            m -> m.dirtyTail(0, HEAD),
            After.THE_SAME,
            "7 problem data",
            "7 problem data"));
  }

  private static void logFaults(List<Fault> all) {
    all.add(
        fault(
            "a last kset to a segment that is not there",
            m -> m.lastKset(0, HEAD, 31),
            After.CLEAN_IF_CUT,
            "5 problem kset.next_seg"));
    all.add(
        fault(
            "a last kset that leads back",
            m -> m.lastKset(0, HEAD, 0),
            After.CLEAN_IF_CUT,
            "5 problem kset.next_seg"));
    all.add(
        fault(
            "a key of length 0",
            m -> m.kset(0, HEAD, LogKey.of(0, 0, 2, 0)),
            After.CLEAN_IF_CUT,
            "5 problem key.len"));
    all.add(
        fault(
            "a log that leads out at dirty_tail",
            m -> m.lastKset(0, SECOND, 31),
            After.CLEAN_IF_CUT,
            "5 problem kset.next_seg"));
    all.add(
        fault(
            "dirty_tail behind the kset that leads out",
            m -> {
              m.dirtyTail(0, HEAD);
              m.lastKset(0, SECOND, 31);
            },
            After.CLEAN,
            "4 problem dirty_tail"));
    all.add(
        fault(
            "no terminator at the head",
            m -> m.media().asSlice(dataOffset(0) + HEAD, 64).fill((byte) 0x5A),
            After.CLEAN,
            "5 notice key_head"));
    all.add(
        fault(
            "a torn kset at the head",
            m -> m.breakSeal(m.kset(0, HEAD, LogKey.of(0, BLOCK, 2, 0))),
            After.CLEAN,
            "5 notice kset.crc"));
    all.add(
        fault(
            "a valid kset behind a torn one",
            m -> {
              m.breakSeal(m.kset(0, HEAD, LogKey.of(0, BLOCK, 2, 0)));
              m.kset(0, HEAD + Kset.sizeBytes(1), LogKey.of(0, BLOCK, 2, 0));
            },
            After.THE_SAME,
            "5 notice kset.crc"));
    all.add(
        fault(
            "a valid kset behind one whose number of keys is damaged",
            m -> m.u32(twoMore(m), Layout.KSET_KEY_NUM_AT, 77),
            After.THE_SAME,
            "5 notice kset.crc"));
    all.add(
        fault(
            "a valid kset behind one whose magic is damaged",
            m -> m.u32(twoMore(m), Layout.KSET_MAGIC_AT, 77),
            After.THE_SAME,
            "5 notice kset.magic"));
    all.add(
        fault(
            "a valid kset behind two torn ones",
            m -> {
              m.u32(m.kset(0, HEAD, LogKey.of(0, BLOCK, 2, 0)), Layout.KSET_KEY_NUM_AT, 0);
              m.breakSeal(m.kset(0, HEAD + Kset.sizeBytes(1), LogKey.of(0, BLOCK, 2, 0)));
              m.kset(0, HEAD + 2 * Kset.sizeBytes(1), LogKey.of(0, BLOCK, 2, 0));
            },
            After.THE_SAME,
            "5 notice kset.crc"));
    all.add(
        fault(
            "a damaged last kset that led to valid ones",
            m -> {
              m.breakSeal(m.lastKset(0, HEAD, 9));
              m.kset(9, 0, LogKey.of(0, BLOCK, 2, 0));
            },
            After.THE_SAME,
            "5 notice kset.crc"));
    all.add(
        fault(
            "an old kset behind a torn one and its terminator",
            m -> {
              m.u32(m.kset(0, HEAD, LogKey.of(0, BLOCK, 2, 0)), Layout.KSET_KEY_NUM_AT, 0);
              int terminator = HEAD + Kset.sizeBytes(1);
              m.kset(0, terminator + Layout.KSET_HEADER_BYTES, LogKey.of(0, BLOCK, 2, 0));
            },
            After.CLEAN,
            "5 notice kset.crc"));
    all.add(
        fault(
            "a valid stale kset behind the terminator",
            m -> m.kset(0, HEAD + Layout.KSET_HEADER_BYTES, LogKey.of(0, BLOCK, 2, 0)),
            After.CLEAN));
    all.add(
        fault(
            "no room for a last kset",
            m -> {
              // A kset of one key that ends 8 bytes before the data area does.
              int at = Layout.SEGMENT_DATA_BYTES - 8 - Kset.sizeBytes(1);
              m.keyTail(0, at);
              m.dirtyTail(0, at);
              m.kset(0, at, LogKey.of(0, BLOCK, 2, 0));
            },
            After.THE_SAME,
            "5 problem key_head"));
    all.add(
        fault(
            "no byte behind the newest kset",
            m -> {
              int at = Layout.SEGMENT_DATA_BYTES - Kset.sizeBytes(1);
              m.keyTail(0, at);
              m.dirtyTail(0, at);
              m.kset(0, at, LogKey.of(0, BLOCK, 2, 0));
            },
            After.THE_SAME,
            "5 problem key_head"));
  }

  private static void keyFaults(List<Fault> all) {
    all.add(
        keyFault(
            "a flag that nobody knows",
            new LogKey(0, BLOCK, 4, 2, 0, 0, 0),
            After.THE_SAME,
            "5 problem key.flags"));
    all.add(
        keyFault(
            "a key ahead of its segment's generation",
            new LogKey(0, BLOCK, 0, 2, 0, 7, 0),
            After.CLEAN,
            "5 problem key.seg_gen"));
    all.add(
        fault(
            "a key in a segment whose generation has no valid replica",
            m -> {
              m.breakSeal(generationAt(9, 1));
              m.u32(generationAt(9, 0), Layout.GENERATION_GEN_AT, 9);
              m.kset(0, HEAD, new LogKey(0, BLOCK, 0, 9, 0, 7, 0));
            },
            After.CLEAN,
            "3 problem generation.crc",
            "5 problem key.seg_gen"));
    all.add(
        keyFault(
            "a clean key over one that is not written back",
            new LogKey(8 * BLOCK, BLOCK, 2, 1, 5 * BLOCK, GENERATION, 0),
            After.THE_SAME,
            "7 problem key.flags"));
    all.add(
        keyFault(
            "data in a segment of the log",
            LogKey.of(0, BLOCK, 0, 1 << 20),
            After.THE_SAME,
            "5 problem key.cache_seg_id"));
    all.add(
        keyFault(
            "a stale key with data in a segment of the log",
            new LogKey(0, BLOCK, 0, 3, 0, 0, 0),
            After.CLEAN));
    all.add(
        fault(
            "data over that of another key",
            m -> {
              int place = 3 * BLOCK + 512;
              m.kset(0, HEAD, new LogKey(1 << 20, 512, 0, 1, place, GENERATION, 0));
            },
            After.THE_SAME,
            "5 problem key.cache_seg_off"));
    all.add(
        fault(
            "many keys over one range of zeros",
            m ->
                m.kset(
                    0,
                    HEAD,
                    LogKey.of(1 << 20, 1 << 20, 2, 0),
                    LogKey.of(2 << 20, 512, 2, 0),
                    LogKey.of(3 << 20, 1 << 19, 2, 1 << 19)),
            After.CLEAN));
    all.add(
        fault(
            "a key that says again what another one says",
            m -> {
              m.media().asSlice(dataOffset(2), 2 * BLOCK).fill((byte) 1);
              m.kset(
                  0,
                  HEAD,
                  LogKey.of(1 << 20, 2 * BLOCK, 2, 0),
                  LogKey.of((1 << 20) + BLOCK, BLOCK, 2, BLOCK));
            },
            After.CLEAN));
    all.add(
        fault(
            "a wrong data crc",
            m -> {
              m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, DATA_CRC_FLAGS);
              m.keyTail(0, HEAD);
              m.dirtyTail(0, HEAD);
              int zeros = new Crc32c().of(new byte[BLOCK], 0, BLOCK);
              m.kset(
                  0,
                  HEAD,
                  new LogKey(0, BLOCK, 0, 2, 0, 0, zeros),
                  new LogKey(BLOCK, BLOCK, 0, 2, BLOCK, 0, zeros + 1),
                  // Stale: whatever its checksum says.
                  new LogKey(2 * BLOCK, BLOCK, 0, 3, BLOCK, 0, zeros + 2));
            },
            After.THE_SAME,
            "6 problem key.data_crc"));
    all.add(
        keyFault(
            "a key beyond the backing device",
            LogKey.of(16 << 20, BLOCK, 2, 0),
            After.THE_SAME,
            "7 problem key.off"));
    all.add(
        fault(
            "clean data that the backing device has not",
            m -> m.media().set(ValueLayout.JAVA_BYTE, dataOffset(1) + 100, (byte) 1),
            After.THE_SAME,
            "7 problem data"));
    all.add(
        fault(
            "clean data that the backing device has not, under newer data",
            m -> {
              m.media().set(ValueLayout.JAVA_BYTE, dataOffset(1) + 100, (byte) 1);
              m.kset(0, HEAD, LogKey.of(0, 512, 2, 0));
            },
            After.CLEAN));
    all.add(
        fault(
            "a clean key behind dirty_tail that the backing device does not confirm",
            m -> {
              m.media().asSlice(dataOffset(2), BLOCK).fill((byte) 1);
              m.kset(0, HEAD, new LogKey(1 << 20, BLOCK, 2, 2, 0, 0, 0));
            },
            After.THE_SAME,
            "7 problem data"));
  }

  /** Two ksets of a key at the head, of which it returns the first. */
  private static Structure twoMore(MediaBuilder m) {
    m.kset(0, HEAD + Kset.sizeBytes(1), LogKey.of(0, BLOCK, 2, 0));
    return m.kset(0, HEAD, LogKey.of(0, BLOCK, 2, BLOCK));
  }

  private static Fault keyFault(String name, LogKey key, After after, String... findings) {
    return fault(name, m -> m.kset(0, HEAD, key), after, findings);
  }

  private static Label label(long backingBytes) {
    return Label.of(backingBytes, "", "/dev/one");
  }

  private static void copy(MediaBuilder m, Structure from, Structure to) {
    MemorySegment.copy(
        m.media(), from.offsetBytes(), m.media(), to.offsetBytes(), from.sizeBytes());
  }

  /**
   * Two ksets: the first written back (zeros, as the backing device has them), the second dirty and
   * not zeros. Segment 3 has been recycled and holds nothing.
   */
  private MediaBuilder soundCache(Path file) {
    MediaBuilder m = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES);
    m.generation(1, GENERATION);
    m.generation(3, GENERATION);
    m.kset(
        0,
        0,
        new LogKey(0, BLOCK, 0, 1, 0, GENERATION, 0),
        new LogKey(BLOCK, BLOCK, 0, 1, BLOCK, GENERATION, 0));
    m.kset(
        0,
        SECOND,
        new LogKey(8 * BLOCK, BLOCK, 0, 1, 2 * BLOCK, GENERATION, 0),
        new LogKey(16 * BLOCK, BLOCK, 0, 1, 3 * BLOCK, GENERATION, 0),
        new LogKey(12 * BLOCK, BLOCK, 2, 1, 4 * BLOCK, GENERATION, 0));
    m.media().asSlice(dataOffset(1) + 2 * BLOCK, 2 * BLOCK).fill((byte) 7);
    m.dirtyTail(0, SECOND);
    return m;
  }

  private List<String> findings(MediaBuilder m) {
    return told(check(m, false));
  }

  private FsckReport check(MediaBuilder m, boolean cutLog) {
    return new Fsck("cache", m.view(), backing, cutLog, phase -> {}).run();
  }

  private static List<String> told(FsckReport report) {
    return report.phases().stream()
        .flatMap(phase ->
            phase.findings().stream()
                .map(f -> phase.number() + " " + f.severity() + " " + f.field()))
        .toList();
  }

  @TestFactory
  Stream<DynamicTest> everyRuleFindsItsFaultAndNothingElse() {
    return faults().stream()
        .map(fault -> DynamicTest.dynamicTest(fault.name(), () -> findsExactly(fault)));
  }

  private void findsExactly(Fault fault) throws Exception {
    Path file = shm.resolve("cache");
    try (MediaBuilder m = soundCache(file)) {
      fault.plant().accept(m);
      long before = checksum(m);
      assertEquals(fault.findings(), findings(m));
      assertEquals(before, checksum(m), "a check writes nothing");
      repairs(fault, m);
    } finally {
      Files.delete(file);
    }
  }

  private void repairs(Fault fault, MediaBuilder m) {
    FsckReport first = check(m, false);
    int repaired = first.repair(new MemoryRegion(m.media()));
    if (fault.after() == After.CLEAN_IF_CUT) {
      assertTrue(check(m, false).problems() > 0, "only --cut-log cuts");
      repaired += check(m, true).repair(new MemoryRegion(m.media()));
    }
    List<String> left = findings(m);
    switch (fault.after()) {
      case CLEAN, CLEAN_IF_CUT -> {
        assertEquals(List.of(), left);
        assertEquals(fault.findings().isEmpty(), repaired == 0);
      }
      case THE_SAME -> {
        assertEquals(fault.findings(), left);
        assertEquals(0, repaired);
      }
    }
  }

  /** Of what is not hole: the metadata and the begin of each data area. */
  private static long checksum(MediaBuilder m) {
    Crc32c crc = new Crc32c();
    long sum = crc.of(m.media().asSlice(0, Layout.SEGMENTS_OFFSET).asByteBuffer());
    for (int segment = 0; segment < MediaBuilder.SMALL_SEGMENTS; segment++) {
      long start = Layout.SEGMENTS_OFFSET + segment * Layout.SEGMENT_BYTES;
      sum = 31 * sum + crc.of(m.media().asSlice(start, 64 << 10).asByteBuffer());
    }
    return sum;
  }

  @Test
  void aSoundCacheHasNoFindings() {
    try (MediaBuilder m = soundCache(shm.resolve("cache"))) {
      assertEquals(List.of(), findings(m));
      assertEquals(7, check(m, false).phases().size());
    }
  }

  /** There `jpcache rescue` would refuse: dirty_tail cannot be behind the last byte. */
  @Test
  void rescueIsAdvisedWhereThereIsRoomForDirtyTailAlone() {
    for (int room : new int[] {0, 8}) {
      try (MediaBuilder m = soundCache(shm.resolve("cache" + room))) {
        int at = Layout.SEGMENT_DATA_BYTES - room - Kset.sizeBytes(1);
        m.keyTail(0, at);
        m.dirtyTail(0, at);
        m.kset(0, at, LogKey.of(0, BLOCK, 2, 0));
        String remedy = check(m, false).phases().get(4).findings().getFirst().remedy();
        assertEquals(room > 0, remedy.contains("bring the data"), remedy);
        assertEquals(room == 0, remedy.contains("`jpcache view`"), remedy);
      }
    }
  }

  @Test
  void whatATornKsetKeepsFromTheLogIsCounted() {
    try (MediaBuilder m = soundCache(shm.resolve("cache"))) {
      LogKey told = new LogKey(0, BLOCK, 0, 1, 0, GENERATION, 0);
      LogKey stale = new LogKey(0, BLOCK, 0, 3, 0, 0, 0);
      LogKey clean = new LogKey(0, BLOCK, 2, 2, 0, 0, 0);
      m.kset(0, HEAD, told, stale, clean, LogKey.of(0, BLOCK, 2, BLOCK));
      m.kset(0, HEAD + Kset.sizeBytes(4), LogKey.of(0, BLOCK, 2, 2 * BLOCK));
      m.kset(0, HEAD + Kset.sizeBytes(5) + Layout.KSET_HEADER_BYTES, stale);
      m.breakSeal(MediaBuilder.ksetAt(0, SECOND, 3));
      String notice = check(m, false).phases().get(4).findings().getFirst().toString();
      assertTrue(
          notice.contains("from 0:" + HEAD + " on 2 key sets with 2 dirty keys"), () -> notice);
    }
  }

  @Test
  void everyFindingNamesFieldPlaceValueFaultAndRemedyInOneLine() throws Exception {
    for (Fault fault : faults()) {
      Path file = shm.resolve("cache");
      try (MediaBuilder m = soundCache(file)) {
        fault.plant().accept(m);
        for (Phase phase : check(m, false).phases()) {
          for (Finding finding : phase.findings()) {
            String line = finding.toString();
            assertEquals(1, line.lines().count(), line);
            for (String part :
                Arrays.asList(
                    finding.field(), finding.value(), finding.wrong(), finding.remedy())) {
              assertTrue(!part.isBlank() && line.contains(part), line);
            }
          }
        }
      } finally {
        Files.delete(file);
      }
    }
  }

  @Test
  void memoryThatCannotBeReadIsAFindingOfEveryPhaseThatNeedsIt() throws Exception {
    Path file = shm.resolve("cache");
    int last = MediaBuilder.SMALL_SEGMENTS - 1;
    try (MediaBuilder m = soundCache(file)) {
      m.cacheInfo(0, MediaBuilder.SMALL_SEGMENTS, DATA_CRC_FLAGS);
      m.keyTail(0, HEAD);
      m.dirtyTail(0, HEAD + Kset.sizeBytes(1));
      m.kset(0, HEAD, LogKey.of(0, BLOCK, last, 4 * BLOCK));
      try (FileChannel truncated = FileChannel.open(file, StandardOpenOption.WRITE)) {
        truncated.truncate(dataOffset(last) + BLOCK);
      }
      assertEquals(List.of("6 problem memory", "7 problem memory"), findings(m));
      Finding finding = check(m, false).phases().getLast().findings().getFirst();
      assertEquals(dataOffset(last) + 4 * BLOCK, finding.offsetBytes());
    }
  }

  @Test
  void whatTheBackingDeviceCannotReadIsAFindingAndAllElseIsComparedAndRepaired() {
    try (MediaBuilder m = soundCache(shm.resolve("cache"))) {
      backing.failReadsAt(BLOCK + 512);
      m.media().set(ValueLayout.JAVA_BYTE, dataOffset(1) + 100, (byte) 1);
      m.breakSeal(dirtyTailAt(1));
      FsckReport report = check(m, false);
      assertEquals(
          List.of("4 notice dirty_tail.crc", "7 problem data", "7 problem data"), told(report));
      Finding unreadable = report.phases().getLast().findings().getLast();
      assertEquals(dataOffset(1) + BLOCK, unreadable.offsetBytes());
      assertEquals("logical bytes " + BLOCK + " to " + 2 * BLOCK, unreadable.value());
      assertTrue(unreadable.wrong().contains("Input/output error"), unreadable::wrong);
      assertEquals(1, report.repair(new MemoryRegion(m.media())));
    }
  }

  @Test
  void theBackingDeviceNeedNotReadWhatIsNotCompared() {
    try (MediaBuilder m = soundCache(shm.resolve("cache"))) {
      backing.failReadsAt(8 * BLOCK); // between two clean keys
      assertEquals(List.of(), findings(m));
    }
  }

  @Test
  void aThousandFaultsOfOneKindAreCountedAndTheFirstOfThemTold() {
    try (MediaBuilder m = soundCache(shm.resolve("cache"))) {
      int at = HEAD;
      for (int kset = 0; kset < 10; kset++) {
        LogKey[] keys = new LogKey[100];
        Arrays.fill(keys, LogKey.of(32 << 20, 512, 2, 0));
        m.kset(0, at, keys);
        at += Kset.sizeBytes(keys.length);
      }
      FsckReport report = check(m, false);
      assertEquals(1000, report.problems());
      Phase last = report.phases().getLast();
      assertEquals(Phase.KEPT, last.findings().size());
      assertEquals(1000 - Phase.KEPT, last.untold());
    }
  }
}
