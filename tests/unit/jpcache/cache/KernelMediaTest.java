package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jpcache.Golden;
import jpcache.Sha256;
import jpcache.backing.MemoryBacking;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMedia;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import jpcache.tools.LogicalView;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Media that the kernel made: the engine writes them back, and goes on with them. */
class KernelMediaTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  static List<Golden> images() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("images")
  void writtenBackTheBackingDeviceAloneHasAllTheDataAndTheViewStaysAsItWas(Golden image)
      throws IOException {
    Golden.Copy copy = image.unpack(shm);
    byte[] slow = Files.readAllBytes(copy.backing());
    MemoryBacking backing = new MemoryBacking(slow);
    try (Arena arena = Arena.ofConfined();
        MemoryRegion region = new MemoryRegion(image.expect().pmemBytes())) {
      try (FileChannel file = FileChannel.open(copy.cache(), StandardOpenOption.READ)) {
        region.writable().copyFrom(file.map(MapMode.READ_ONLY, 0, file.size(), arena));
      }
      Cache cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(2));
      long now = settle(cache, System.nanoTime());
      assertEquals(cache.status().keyHead(), cache.status().dirtyTail());
      assertEquals(image.expect().logicalSha256(), sha256(slow), "the backing device alone");
      assertEquals(image.expect().logicalSha256(), viewSha256(region, backing), "the view");

      MemorySegment buffer = arena.allocate(4 << 20).fill((byte) 'n');
      try (BlockQueue queue = cache.openQueue()) {
        for (int i = 0; i < 200; i++) {
          queue.write(
              (i % (slow.length >> 22)) * (4L << 20), 4 << 20, buffer.address(), false, e -> {});
          queue.commit();
          now = settle(cache, now);
        }
      }
      assertEquals(0, cache.backlog().size());
      assertTrue(cache.status().segmentsUsed() * 100 <= 75 * cache.segments().count());
      assertEquals(sha256(slow), viewSha256(region, backing), "after more writes and collections");
    }
  }

  /** Steps until nothing is left to do, however old the data must be for it. */
  private static long settle(Cache cache, long start) {
    long now = start;
    for (long pause; (pause = cache.maintenance().step(now)) != Long.MAX_VALUE; ) {
      now += Math.min(pause, TimeUnit.MINUTES.toNanos(1));
    }
    return now;
  }

  private static String sha256(byte[] bytes) {
    MessageDigest digest = Sha256.digest();
    digest.update(bytes);
    return Sha256.hex(digest);
  }

  private static String viewSha256(MemoryRegion region, MemoryBacking backing) {
    try (Arena arena = Arena.ofConfined()) {
      CacheMedia media = CacheMedia.read(region.name(), region.view());
      MemorySegment all = arena.allocate(backing.sizeBytes());
      new LogicalView(media, backing).read(0, all);
      MessageDigest digest = Sha256.digest();
      digest.update(all.asByteBuffer());
      return Sha256.hex(digest);
    }
  }
}
