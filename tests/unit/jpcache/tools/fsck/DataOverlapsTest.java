package jpcache.tools.fsck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.SharedZeros;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which keys are held against each other, and what that costs. */
class DataOverlapsTest {
  private static final int PAGE = 4096;
  private static final int SEGMENT = 2;
  private static final int BEHIND_ZEROS = SharedZeros.SIZE_BYTES;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private MediaBuilder m;
  private int head;

  /** A cache with shared zeros in a segment, and other data behind them. */
  @BeforeEach
  void make() {
    m = MediaBuilder.create(shm.resolve("cache"), MediaBuilder.SMALL_BYTES);
    long data = MediaBuilder.dataOffset(SEGMENT);
    SharedZeros.write(new MemoryRegion(m.media()), data);
    m.media().asSlice(data + BEHIND_ZEROS, 64 * PAGE).fill((byte) 7);
  }

  @AfterEach
  void close() {
    m.close();
  }

  private static LogKey zeros(long off, int length) {
    return LogKey.of(off, length, SEGMENT, SharedZeros.KEPT_AT);
  }

  private static LogKey data(long off, int place) {
    return LogKey.of(off, PAGE, SEGMENT, BEHIND_ZEROS + place);
  }

  private void log(LogKey... keys) {
    head += m.kset(0, head, keys).sizeBytes();
  }

  private List<String> findings(int groupKeys) {
    CacheMedia media = CacheMedia.read("cache", m.view());
    DataOverlaps overlaps = new DataOverlaps(media, groupKeys);
    LogWalk.run(media, (kset, key, at, live, dirty) -> overlaps.count(kset, key));
    List<Finding> found = new ArrayList<>();
    overlaps.run(found::add);
    return found.stream().map(finding -> finding.field() + " " + finding.value()).toList();
  }

  @Test
  void keysOfZerosNeedNoMemory() {
    LogKey[] keys = new LogKey[Layout.KSET_MAX_KEYS];
    Arrays.setAll(keys, i -> zeros((long) i << 22, i % 2 == 0 ? PAGE : 4 << 20));
    int count = 0;
    while (head + 2 * Kset.sizeBytes(keys.length) < Layout.SEGMENT_DATA_BYTES) {
      log(keys);
      count += keys.length;
    }
    assertTrue(count > 400_000, "keys: " + count);
    ThreadMXBean thread = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = thread.getCurrentThreadAllocatedBytes();
    assertEquals(List.of(), findings(DataOverlaps.GROUP_KEYS));
    long bytes = thread.getCurrentThreadAllocatedBytes() - before;
    assertTrue(bytes < 8L * count, bytes + " bytes on the heap for " + count + " keys");
  }

  @Test
  void whatStandsBehindZerosIsLookedAtAsBefore() {
    log(zeros(0, PAGE), data(1 << 20, 0), zeros(4 << 20, 4 << 20));
    log(data(2 << 20, PAGE), data(3 << 20, PAGE + 512), zeros(1 << 20, 512));
    assertEquals(
        List.of("key.cache_seg_off " + SEGMENT + ":" + (BEHIND_ZEROS + PAGE + 512)),
        findings(DataOverlaps.GROUP_KEYS));
  }

  @Test
  void dataThatOnlyLooksLikeSharedZerosIsLookedAt() {
    m.media().asSlice(MediaBuilder.dataOffset(SEGMENT) + PAGE, 512).fill((byte) 1);
    log(zeros(0, PAGE), zeros(1 << 20, PAGE));
    assertEquals(
        List.of("key.cache_seg_off " + SEGMENT + ":" + SharedZeros.KEPT_AT),
        findings(DataOverlaps.GROUP_KEYS));
  }

  @Test
  void ofMoreKeysOfASegmentThanOneGroupHasTheFirstAreLookedAt() {
    log(data(0, 0), data(1 << 20, 512), data(2 << 20, 8 * PAGE));
    log(data(3 << 20, 8 * PAGE + 512), zeros(4 << 20, PAGE));
    String first = "key.cache_seg_off " + SEGMENT + ":" + (BEHIND_ZEROS + 512);
    String last = "key.cache_seg_off " + SEGMENT + ":" + (BEHIND_ZEROS + 8 * PAGE + 512);
    assertEquals(List.of(first, last), findings(4));
    assertEquals(List.of("key.cache_seg_id " + SEGMENT, first), findings(3));
  }
}
