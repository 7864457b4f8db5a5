package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import jpcache.backing.MemoryBacking;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.pmem.MemoryRegion;
import jpcache.pmem.PmemRegion;
import jpcache.support.ShmDirectory;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Problems;
import jpcache.tools.rescue.Rescue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the kernel once believed of its media, or still does, each with checksums that fit: nobody
 * here does, not the engine and not the tools, and nothing is written on the way to finding out.
 *
 * <p>A kset that overruns its segment is not here: it is where the log ends (LogReaderTest).
 */
class KernelHolesTest {
  private static final int LOGICAL_BYTES = 16 << 20;
  private static final int SEGMENTS = MediaBuilder.SMALL_SEGMENTS;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @Test
  void aKeyInASegmentThatTheCacheHasNotIsRefusedByAll() {
    allRefuse("key.cache_seg_id", media -> media.kset(0, 0, LogKey.of(0, 4096, SEGMENTS, 0)));
    allRefuse("key.cache_seg_id", media -> media.kset(0, 0, LogKey.of(0, 4096, -1, 0)));
  }

  @Test
  void aKeyWhoseDataLeavesItsSegmentIsRefusedByAll() {
    int end = Layout.SEGMENT_DATA_BYTES;
    allRefuse("key.cache_seg_off", media -> media.kset(0, 0, LogKey.of(0, 4096, 5, end - 512)));
    allRefuse("key.cache_seg_off", media -> media.kset(0, 0, LogKey.of(0, 4096, 5, -512)));
  }

  @Test
  void aKeyBeyondTheLogicalDeviceIsRefusedByAll() {
    allRefuse("key.off", media -> media.kset(0, 0, LogKey.of(LOGICAL_BYTES, 4096, 5, 0)));
    allRefuse("key.off", media -> media.kset(0, 0, LogKey.of(-4096, 4096, 5, 0)));
  }

  @Test
  void aChainOfSegmentsThatComesBackIsRefusedByAll() {
    allRefuse(
        "kset.next_seg",
        media -> {
          media.lastKset(0, 0, 1);
          media.lastKset(1, 0, 2);
          media.lastKset(2, 0, 0);
        });
  }

  @Test
  void aChainThatComesBackAndThatOnlyDirtyTailReachesIsRefusedByAll() {
    allRefuse(
        "kset.next_seg",
        true,
        media -> {
          media.dirtyTail(3, 0);
          media.lastKset(3, 0, 4);
          media.lastKset(4, 0, 3);
        });
  }

  @Test
  void aLastKsetThatLeadsOutOfTheCacheIsRefusedByAll() {
    allRefuse("kset.next_seg", media -> media.lastKset(0, 0, SEGMENTS));
  }

  @Test
  void aCacheOfMoreSegmentsThanTheDeviceIsRefusedByAll() {
    allRefuse("cache_info.n_segs", media -> media.cacheInfo(0, SEGMENTS + 1, MediaBuilder.FLAGS));
    allRefuse("cache_info.n_segs", media -> media.cacheInfo(0, -1, MediaBuilder.FLAGS));
  }

  @Test
  void aDeviceThatSaysItIsLargerIsRefusedByAll() {
    allRefuse(
        "superblock.seg_num", media -> media.superblock(0, Layout.SUPERBLOCK_MAGIC, SEGMENTS + 1));
    allRefuse("superblock.seg_num", media -> media.superblock(0, Layout.SUPERBLOCK_MAGIC, -1));
  }

  private void allRefuse(String field, Consumer<MediaBuilder> forgery) {
    allRefuse(field, false, forgery);
  }

  private void allRefuse(String field, boolean offLog, Consumer<MediaBuilder> forgery) {
    Path file = shm.resolve("cache");
    try (MediaBuilder media = MediaBuilder.create(file, MediaBuilder.SMALL_BYTES)) {
      forgery.accept(media);
      byte[] device = new byte[LOGICAL_BYTES];
      MemoryBacking backing = new MemoryBacking(device);
      PmemRegion region = new MemoryRegion(media.media());
      refuses(field + " at byte ", () -> Cache.open(region, backing, CacheOptions.defaults()));
      refuses(field + " at byte ", () -> new LogicalView(media(media), backing));
      // Where only dirty_tail leads there, that it is not on the log is what they tell.
      String found = offLog ? "dirty_tail" : field + " at byte ";
      refuses(found, () -> rescue(media, backing).dryRun());
      refuses(found, () -> rescue(media, backing).run(region));
      List<String> problems = Problems.of("cache", media.view(), backing);
      assertTrue(problems.toString().contains(found), problems::toString);
      assertArrayEquals(new byte[LOGICAL_BYTES], device, "the backing device was written");
    } finally {
      assertTrue(file.toFile().delete());
    }
  }

  private static void refuses(String words, Executable use) {
    String message = String.valueOf(assertThrows(UserException.class, use).getMessage());
    assertTrue(message.contains(words), message);
  }

  private static CacheMedia media(MediaBuilder media) {
    return CacheMedia.read("cache", media.view());
  }

  private static Rescue rescue(MediaBuilder media, MemoryBacking backing) {
    return new Rescue(
        media(media),
        backing,
        new Rescue.Options(false, false, Rescue.BATCH_KSETS),
        notice -> {},
        (done, of) -> {});
  }
}
