package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.Stream;
import jpcache.Seeds;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/**
 * Media that somebody forged, checksums and all, to harm whoever opens them: every command says in
 * one line which field has which value where, exits 1, and needs neither long nor much memory.
 */
class HostileMediaTest {
  private static final long BACKING_BYTES = 64 << 20;
  private static final Duration LONGEST = Duration.ofSeconds(10);
  private static final long MOST_BYTES = 256L << 20;
  private static final int DATA_BYTES = Layout.SEGMENT_DATA_BYTES;

  /** A sound key to forge fields of: 4 KiB at 1 MiB, in the middle of segment 5. */
  private static final LogKey KEY = LogKey.of(1 << 20, 4096, 5, 1 << 20);

  @TempDir(factory = ShmDirectory.class)
  static Path directory;

  /** Media with one thing wrong, and what must be said about it. */
  record Forgery(
      String field, String value, long at, boolean needsBacking, Consumer<MediaBuilder> deed) {
    @Override
    public String toString() {
      return field + " " + value + " at " + at;
    }
  }

  private static final List<Forgery> FORGERIES = new ArrayList<>();

  private static void forgery(
      String field, String value, Structure at, Consumer<MediaBuilder> deed) {
    FORGERIES.add(new Forgery(field, value, at.offsetBytes(), false, deed));
  }

  /** Forges a u32 in every way of a list; told as an unsigned number. */
  private static void u32(
      String field, Structure told, Structure structure, long fieldAt, int... values) {
    for (int value : values) {
      forgery(
          field,
          Integer.toUnsignedString(value),
          told,
          media -> media.forgeU32(structure, fieldAt, value));
    }
  }

  static {
    superblock();
    cacheInfo();
    tails();
    segments();
    log();
    keys();
  }

  private static void superblock() {
    Structure sb = MediaBuilder.superblockAt();
    for (long magic : new long[] {0, 1, Layout.SUPERBLOCK_MAGIC + 1, -1, Long.MIN_VALUE}) {
      forgery(
          "superblock.magic",
          magic == 0 ? "0" : String.format("0x%016x", magic),
          sb,
          media -> media.forgeU64(sb, Layout.SB_MAGIC_AT, magic));
    }
    for (int flags : new int[] {1, 3, -1}) {
      forgery(
          "superblock.flags",
          String.format("0x%08x", flags),
          sb,
          media -> media.forgeU32(sb, Layout.SB_FLAGS_AT, flags));
    }
    forgery("superblock.crc", "0x", sb, media -> media.breakSeal(sb));
    u32(
        "superblock.seg_num",
        sb,
        sb,
        Layout.SB_SEG_NUM_AT,
        0,
        MediaBuilder.SMALL_SEGMENTS + 1,
        Layout.MAX_SEGMENTS,
        Layout.MAX_SEGMENTS + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
  }

  private static void cacheInfo() {
    Structure slot = MediaBuilder.cacheInfoAt(0);
    Structure info = MediaBuilder.cacheInfoAt(1);
    forgery("cache_info.crc", "both replicas", slot, media -> media.breakSeal(info));
    int segments = MediaBuilder.SMALL_SEGMENTS;
    u32(
        "cache_info.n_segs",
        slot,
        info,
        Layout.CACHE_INFO_N_SEGS_AT,
        0,
        segments + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
    u32(
        "cache_info.seg_id",
        slot,
        info,
        Layout.CACHE_INFO_SEG_ID_AT,
        segments,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
    for (int flags : new int[] {0, MediaBuilder.FLAGS & ~2}) {
      forgery(
          "cache_info.flags",
          String.format("0x%08x", flags),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    for (int mode = 4; mode < 16; mode++) {
      int flags = 2 | mode << 2;
      forgery(
          "cache_info.flags.mode",
          Integer.toString(mode),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    for (int percent : new int[] {91, 100, 127}) {
      int flags = 2 | percent << 6;
      forgery(
          "cache_info.flags.gc_percent",
          Integer.toString(percent),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    // The newer of two replicas counts, even if the older one is sound.
    forgery(
        "cache_info.n_segs",
        "99",
        slot,
        media -> {
          MemorySegment.copy(
              media.media(), info.offsetBytes(), media.media(), slot.offsetBytes(), 24);
          media.media().set(ValueLayout.JAVA_BYTE, slot.offsetBytes() + 4, (byte) 2);
          media.forgeU32(slot, Layout.CACHE_INFO_N_SEGS_AT, 99);
        });
  }

  private static void tails() {
    for (boolean key : new boolean[] {true, false}) {
      Structure tail = key ? MediaBuilder.keyTailAt(0) : MediaBuilder.dirtyTailAt(0);
      String name = key ? "key_tail" : "dirty_tail";
      forgery(name + ".crc", "both replicas", tail, media -> media.breakSeal(tail));
      u32(
          name + ".cache_seg_id",
          tail,
          tail,
          Layout.POSITION_SEG_ID_AT,
          MediaBuilder.SMALL_SEGMENTS,
          Integer.MAX_VALUE,
          Integer.MIN_VALUE,
          -1);
      u32(
          name + ".seg_off",
          tail,
          tail,
          Layout.POSITION_SEG_OFF_AT,
          DATA_BYTES,
          DATA_BYTES + 1,
          16 << 20,
          Integer.MAX_VALUE,
          Integer.MIN_VALUE,
          -1);
    }
  }

  private static void segments() {
    int last = MediaBuilder.SMALL_SEGMENTS - 1;
    for (int segment : new int[] {0, 7, last}) {
      Structure slot = MediaBuilder.segmentInfoAt(segment, 0);
      Structure info = MediaBuilder.segmentInfoAt(segment, 1);
      forgery("segment_info.crc", "both replicas", slot, media -> media.breakSeal(info));
      for (int type : new int[] {0, 2, 15}) {
        forgery(
            "segment_info.flags.type",
            Integer.toString(type),
            slot,
            media -> media.forgeU32(info, Layout.SEGMENT_INFO_FLAGS_AT, 1 | type << 1));
      }
    }
    Structure slot = MediaBuilder.segmentInfoAt(7, 0);
    Structure info = MediaBuilder.segmentInfoAt(7, 1);
    u32("segment_info.flags", slot, info, Layout.SEGMENT_INFO_FLAGS_AT, 2, 0x80000002);
    // The last four are cycles: the list's head, a segment before, itself, the one just before.
    u32(
        "segment_info.next_seg",
        slot,
        info,
        Layout.SEGMENT_INFO_NEXT_AT,
        last + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1,
        0,
        3,
        7,
        6);
  }

  private static void log() {
    for (boolean key : new boolean[] {true, false}) {
      // From key_tail, and from dirty_tail alone.
      int at = 4096;
      Structure kset = MediaBuilder.ksetAt(9, at, 0);
      Consumer<MediaBuilder> start =
          media -> {
            if (key) {
              media.keyTail(9, at);
            }
            media.dirtyTail(9, at);
          };
      for (int next : new int[] {MediaBuilder.SMALL_SEGMENTS, Integer.MIN_VALUE, -1, 9}) {
        forgery(
            "kset.next_seg",
            Integer.toUnsignedString(next),
            kset,
            start.andThen(media -> media.lastKset(9, at, next)));
      }
      forgery(
          "kset.next_seg",
          "9",
          MediaBuilder.ksetAt(11, 64, 0),
          start.andThen(media -> {
            media.lastKset(9, at, 10);
            media.lastKset(10, 0, 11);
            media.kset(11, 0, KEY);
            media.lastKset(11, 64, 9);
          }));
    }
  }

  private static void keys() {
    key("key.len", Layout.KEY_LEN_AT, 0, 1, 511, 513, 4095);
    key("key.len", Layout.KEY_LEN_AT, (4 << 20) + 512, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.len", Layout.KEY_LEN_AT, -512);
    key("key.flags", Layout.KEY_FLAGS_AT, 1, 3, 0x80000001, -1);
    key("key.cache_seg_id", Layout.KEY_SEG_ID_AT, MediaBuilder.SMALL_SEGMENTS);
    key("key.cache_seg_id", Layout.KEY_SEG_ID_AT, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, 1, 511, DATA_BYTES, DATA_BYTES - 4096 + 512);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, -512, -4096);
    long[] anywhere = {
      1, 511, -1, -512, -4096, Long.MIN_VALUE, Long.MAX_VALUE, (4 << 20) - 512, (8 << 20) - 3584
    };
    for (long off : anywhere) {
      offset(off, false);
    }
    // A sound offset of a larger device than this one.
    for (long off :
        new long[] {
          BACKING_BYTES, BACKING_BYTES - 4096 + 512, 1L << 50, 1L << 62, Long.MAX_VALUE - 4095 - 512
        }) {
      offset(off & -512, true);
    }
  }

  private static Structure storeKeys(MediaBuilder media) {
    return media.kset(0, 0, LogKey.of(0, 512, 3, 0), KEY, LogKey.of(512, 512, 3, 512));
  }

  /** The middle one of three keys. */
  private static void key(String field, int fieldAt, int... values) {
    Structure kset = MediaBuilder.ksetAt(0, 0, 3);
    Structure told = new Structure(MediaBuilder.keyOffset(kset, 1), Layout.KEY_BYTES);
    long at = told.offsetBytes() - kset.offsetBytes() + fieldAt;
    for (int value : values) {
      forgery(
          field,
          Integer.toUnsignedString(value),
          told,
          media -> media.forgeU32(storeKeys(media), at, value));
    }
  }

  private static void offset(long off, boolean needsBacking) {
    Structure kset = MediaBuilder.ksetAt(0, 0, 3);
    long told = MediaBuilder.keyOffset(kset, 1);
    long at = told - kset.offsetBytes() + Layout.KEY_OFF_AT;
    FORGERIES.add(
        new Forgery(
            "key.off",
            Long.toUnsignedString(off),
            told,
            needsBacking,
            media -> media.forgeU64(storeKeys(media), at, off)));
  }

  static Stream<Forgery> forgeries() {
    return FORGERIES.stream();
  }

  @ParameterizedTest
  @MethodSource("forgeries")
  void isRefusedByFieldValueAndPlace(Forgery forgery) throws IOException {
    Path cache = directory.resolve("forged");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
      forgery.deed.accept(media);
    }
    String text = forgery.field + " at byte " + forgery.at + ": " + forgery.value;
    try {
      assertRefused(cache, text, forgery.needsBacking);
    } finally {
      Files.delete(cache);
    }
  }

  @Test
  void soundMediaAreShown() throws IOException {
    Path cache = directory.resolve("sound");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES)) {
      storeKeys(media);
    }
    Run run = run("dump", "--cache", cache.toString(), "--keys", "--json");
    assertEquals(0, run.exit, run.err);
    assertTrue(run.out.contains("\"key_head\": \"0:144\""), run.out);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        1,
        4095,
        4096,
        4097,
        4119,
        4120,
        8191,
        8192,
        8215,
        12288,
        12312,
        16383,
        16384,
        16400,
        16447,
        16448,
        20479,
        20480,
        20496,
        28672,
        32768,
        1 << 24,
        (1 << 29) - 4096,
        (1 << 29) - 1
      })
  void aTruncatedFileIsTooSmall(long bytes) throws IOException {
    Path cache = directory.resolve("truncated");
    MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES).close();
    truncate(cache, bytes);
    assertRefused(cache, "device size at byte 0: ", false);
    Files.delete(cache);
  }

  @Test
  void aFileThatHasLostPartOfItsLastSegmentIsRefused() throws IOException {
    Path cache = directory.resolve("truncated");
    long bytes = Layout.SEGMENTS_OFFSET + 40 * Layout.SEGMENT_BYTES;
    MediaBuilder.create(cache, bytes).close();
    for (long size : new long[] {bytes - 1, bytes - Layout.SEGMENT_BYTES, bytes - 4096}) {
      truncate(cache, size);
      assertRefused(cache, "superblock.seg_num at byte 4096: 40", false);
    }
    Files.delete(cache);
  }

  @Test
  void anEmptyFileADirectoryAndNothingAreRefused() throws IOException {
    Path empty = Files.createFile(directory.resolve("empty"));
    assertRefused(empty, empty + ": is empty", false);
    assertRefused(directory, directory + ": is a directory", false);
    Path missing = directory.resolve("missing");
    assertRefused(missing, missing + ": cannot be opened: ", false);
  }

  @Test
  void zerosAreNoCacheAndOnesAndNoiseAreSomethingElse() throws IOException {
    Path cache = directory.resolve("filled");
    try (MediaBuilder media = MediaBuilder.createEmpty(cache, MediaBuilder.SMALL_BYTES)) {
      assertRefused(cache, "superblock.magic at byte 4096: 0: the device holds no cache", false);
      MemorySegment head = media.media().asSlice(0, 64 << 10);
      head.fill((byte) 0xFF);
      assertRefused(cache, "superblock.magic at byte 4096: 0xffffffffffffffff", false);
      byte[] noise = new byte[64 << 10];
      new SplittableRandom(Seeds.next(getClass())).nextBytes(noise);
      head.copyFrom(MemorySegment.ofArray(noise));
      assertRefused(cache, "superblock.magic at byte 4096: 0x", false);
    }
    Files.delete(cache);
  }

  /** No more memory than for a small one, though there is a device as large as it says. */
  @Test
  void aSparseDeviceOf16TiBThatSaysAllItCanIsRefusedAtTheFirstSegmentThatIsNotThere()
      throws IOException {
    Path cache = directory.resolve("sparse");
    long bytes = Layout.SEGMENTS_OFFSET + Layout.MAX_SEGMENTS * Layout.SEGMENT_BYTES;
    try (MediaBuilder media = MediaBuilder.createEmpty(cache, bytes)) {
      media.metadata(Layout.MAX_SEGMENTS, 1000);
      assertRefused(
          cache,
          "segment_info.crc at byte " + MediaBuilder.segmentInfoAt(1000, 0).offsetBytes(),
          false);
      media.forgeU32(MediaBuilder.superblockAt(), Layout.SB_SEG_NUM_AT, Layout.MAX_SEGMENTS + 1);
      assertRefused(cache, "superblock.seg_num at byte 4096: 1048577", false);
    }
    Files.delete(cache);
  }

  /** A million subtrees' worth of logical device costs what its keys cost, not what it spans. */
  @Test
  void keysFarApartOnAHugeLogicalDeviceDoNotFillTheHeap() throws IOException {
    Path cache = directory.resolve("apart");
    Path backing = directory.resolve("huge");
    try (MediaBuilder media = MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES);
        RandomAccessFile sparse = new RandomAccessFile(backing.toFile(), "rw")) {
      sparse.setLength(1L << 50);
      int at = 0;
      LogKey[] keys = new LogKey[128];
      for (int kset = 0; kset < 1 << 9; kset++) {
        for (int key = 0; key < keys.length; key++) {
          keys[key] = LogKey.of((kset * 128L + key) << 34, 512, 3, 0);
        }
        at += media.kset(0, at, keys).sizeBytes();
      }
      // The last one is refused, so that nothing goes to stdout.
      media.kset(0, at, LogKey.of(1L << 50, 512, 3, 0));
      Run view = run("view", "--cache", cache.toString(), "--backing", backing.toString());
      assertRefusal(view, "key.off at byte ");
    }
    Files.delete(cache);
    Files.delete(backing);
  }

  private static void truncate(Path file, long bytes) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.setLength(bytes);
    }
  }

  private void assertRefused(Path cache, String text, boolean needsBacking) throws IOException {
    Path backing = directory.resolve("backing");
    try (RandomAccessFile file = new RandomAccessFile(backing.toFile(), "rw")) {
      file.setLength(BACKING_BYTES);
    }
    assertRefusal(run("view", "--cache", cache.toString(), "--backing", backing.toString()), text);
    if (!needsBacking) {
      assertRefusal(run("dump", "--cache", cache.toString()), text);
      assertRefusal(run("dump", "--json", "--keys", "--cache", cache.toString()), text);
    }
  }

  private record Run(int exit, String out, String err, Duration took, long allocatedBytes) {}

  private static void assertRefusal(Run run, String text) {
    assertEquals(1, run.exit, run.err);
    assertTrue(run.err.contains(text), () -> "expected: " + text + "\n     got: " + run.err);
    assertTrue(run.err.matches("jpcache: [^\n]+\n"), run.err);
    assertFalse(run.err.contains("Exception") || run.err.contains("unexpected"), run.err);
    assertEquals("", run.out);
    assertTrue(run.took.compareTo(LONGEST) < 0, run.took + ": " + run.err);
    assertTrue(run.allocatedBytes < MOST_BYTES, run.allocatedBytes + " bytes: " + run.err);
  }

  /** Runs a command in this JVM; what its thread allocates in all is more than it ever holds. */
  private static Run run(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long allocated = threads.getCurrentThreadAllocatedBytes();
    long start = System.nanoTime();
    int exit = Main.run(line, args);
    return new Run(
        exit,
        out.toString(),
        err.toString(),
        Duration.ofNanos(System.nanoTime() - start),
        threads.getCurrentThreadAllocatedBytes() - allocated);
  }
}
