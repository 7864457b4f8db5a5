package jpcache.tools.rescue;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import jpcache.Golden;
import jpcache.Seeds;
import jpcache.Sha256;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.MediaBuilder;
import jpcache.pmem.MemoryRegion;
import jpcache.support.Power;
import jpcache.support.ShmDirectory;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Fsck;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RescueGoldenTest {
  private static final int CHUNK_BYTES = 4 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  static List<Golden> images() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("images")
  void theBackingImageAloneHasTheKernelsBytesAfterwards(Golden image) throws Exception {
    Golden.Copy copy = image.unpack(shm);
    try (MediaBuilder m = MediaBuilder.open(copy.cache(), true)) {
      try (BackingDevice backing = open(copy)) {
        rescue(m, backing, Rescue.BATCH_KSETS).run(new MemoryRegion(m.media()));
      }
      check(image, copy, m);
    }
  }

  @ParameterizedTest
  @MethodSource("images")
  void cutOffAtRandomPointsAndRunAgainItEndsTheSame(Golden image) throws Exception {
    SplittableRandom random = new SplittableRandom(Seeds.next(RescueGoldenTest.class));
    Golden.Copy copy = image.unpack(shm);
    try (MediaBuilder m = MediaBuilder.open(copy.cache(), true)) {
      Power power = new Power();
      MemoryRegion region = new MemoryRegion(m.media());
      region.watch((offset, length) -> power.require());
      int cuts = 0;
      boolean done = false;
      while (!done) {
        boolean cache = cuts == 0 || random.nextBoolean();
        power.cutAfter(cache ? random.nextInt(cuts == 0 ? 5 : 10) : Long.MAX_VALUE);
        long writes = cache ? Long.MAX_VALUE : random.nextInt(2_000);
        try (BackingDevice backing = new FailingBacking(open(copy), writes)) {
          rescue(m, backing, 16).run(region);
          done = true;
        } catch (Power.Cut | UserException e) {
          cuts++;
        }
      }
      assertTrue(cuts > 0, "it was cut off at least once");
      check(image, copy, m);
    }
  }

  private static BackingDevice open(Golden.Copy copy) {
    return BackingDevices.open(copy.backing().toString(), BackingOptions.readWrite());
  }

  private static Rescue rescue(MediaBuilder m, BackingDevice backing, int batchKsets) {
    return new Rescue(
        CacheMedia.read("cache", m.view()),
        backing,
        new Rescue.Options(false, false, batchKsets),
        notice -> {
          throw new AssertionError(notice);
        },
        (done, of) -> {});
  }

  private static void check(Golden image, Golden.Copy copy, MediaBuilder m) throws IOException {
    assertEquals(image.expect().logicalSha256(), Sha256.of(copy.backing()), "backing alone");
    try (BackingDevice backing = open(copy)) {
      assertEquals(image.expect().logicalSha256(), viewSha256(m, backing), "view");
      assertEquals(
          List.of(),
          new Fsck("cache", m.view(), backing, false, phase -> {})
              .run().phases().stream().flatMap(phase -> phase.findings().stream()).toList());
      assertEquals(
          new Rescue.Summary(0, 0, 0, 0), rescue(m, backing, 16).dryRun(), "nothing is dirty");
    }
  }

  private static String viewSha256(MediaBuilder m, BackingDevice backing) {
    MessageDigest digest = Sha256.digest();
    LogicalView view = new LogicalView(CacheMedia.read("cache", m.view()), backing);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chunk = arena.allocate(CHUNK_BYTES, 4096);
      for (long at = 0; at < view.sizeBytes(); at += CHUNK_BYTES) {
        view.read(at, chunk);
        digest.update(chunk.asByteBuffer());
      }
    }
    return Sha256.hex(digest);
  }

  /** All writes and flushes fail after so many. */
  private static final class FailingBacking implements BackingDevice {
    private final BackingDevice device;
    private final AtomicLong left;

    FailingBacking(BackingDevice device, long requests) {
      this.device = device;
      left = new AtomicLong(requests);
    }

    @Override
    public String name() {
      return device.name();
    }

    @Override
    public long sizeBytes() {
      return device.sizeBytes();
    }

    @Override
    public int blockBytes() {
      return device.blockBytes();
    }

    @Override
    public int directAlignmentBytes() {
      return device.directAlignmentBytes();
    }

    @Override
    public boolean readOnly() {
      return device.readOnly();
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      device.read(offsetBytes, lengthBytes, address, done);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      if (left.getAndDecrement() <= 0) {
        done.complete(Errno.EIO);
      } else {
        device.write(offsetBytes, lengthBytes, address, done);
      }
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
      if (left.getAndDecrement() <= 0) {
        done.complete(Errno.EIO);
      } else {
        device.zero(offsetBytes, lengthBytes, unmap, done);
      }
    }

    @Override
    public void flush(Completion done) {
      if (left.getAndDecrement() <= 0) {
        done.complete(Errno.EIO);
      } else {
        device.flush(done);
      }
    }

    @Override
    public void close() {
      device.close();
    }
  }
}
