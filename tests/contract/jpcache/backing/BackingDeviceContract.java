package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import jpcache.base.Errno;
import jpcache.base.UserException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** What every kind of backing device promises, on real files and devices. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
abstract class BackingDeviceContract {
  private static final int MIB = 1 << 20;

  final Media media = new Media();

  /** A fresh medium of so many bytes, zeros all of it. */
  abstract Path medium(long sizeBytes) throws IOException;

  /** Whether it can have any multiple of 512 as its size, and change it. */
  boolean isFile() {
    return true;
  }

  @AfterEach
  void takeDown() throws IOException {
    media.close();
  }

  /** How requests reach the kernel. */
  BackingOptions.Way way() {
    return BackingOptions.Way.URING;
  }

  private BackingOptions readWrite() {
    return BackingOptions.readWrite().withWay(way());
  }

  private BackingOptions forReading() {
    return BackingOptions.forReading().withWay(way());
  }

  private BackingDevice open(Path path) {
    return BackingDevices.open(path.toString(), readWrite());
  }

  /** Waits for threads that finish requests. */
  private static void pause() {
    LockSupport.parkNanos(20_000);
  }

  @Test
  void holdsWhatManyUnalignedRequestsAtOnceWrote() throws IOException {
    long seed = Long.getLong("seed", System.nanoTime());
    System.out.println(getClass().getSimpleName() + " -Dseed=" + seed);
    try (BackingDevice device = open(medium(2 * MIB + (isFile() ? 2560 : 4096)))) {
      new Traffic(device, seed, BackingDeviceContract::pause).run(1500, 70_000);
    }
  }

  @Test
  void holdsWhatWasWrittenWhenOpenedAgain() throws IOException {
    Path path = medium(MIB + (isFile() ? 512 : 0));
    byte[] data = new byte[MIB + (isFile() ? 512 : 0)];
    new Random(7).nextBytes(data);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(data.length, 4096);
      try (BackingDevice device = open(path)) {
        assertEquals(data.length, device.sizeBytes());
        MemorySegment.copy(data, 0, memory, ValueLayout.JAVA_BYTE, 0, data.length);
        SyncBacking.write(device, 0, data.length, memory.address());
        SyncBacking.flush(device);
      }
      memory.fill((byte) 0);
      try (BackingDevice device = BackingDevices.open(path.toString(), forReading())) {
        SyncBacking.read(device, 0, data.length, memory.address());
      }
      assertArrayEquals(data, memory.toArray(ValueLayout.JAVA_BYTE));
    }
  }

  /** Two threads write two neighbouring blocks, over and over; neither may lose a write. */
  @Test
  void neighboursWritesNeverLoseEachOther() throws Exception {
    try (BackingDevice device = open(medium(MIB));
        ExecutorService threads = Executors.newFixedThreadPool(2)) {
      int sector = BackingDevice.SECTOR_BYTES;
      List<Future<?>> ends = new ArrayList<>();
      for (int side = 0; side < 2; side++) {
        long offset = 8192L + (long) side * sector;
        ends.add(
            threads.submit(() -> {
              try (Arena arena = Arena.ofShared()) {
                MemorySegment out = arena.allocate(sector, 4096);
                MemorySegment in = arena.allocate(sector, 4096);
                for (int i = 1; i <= 300; i++) {
                  out.fill((byte) i);
                  SyncBacking.write(device, offset, sector, out.address());
                  SyncBacking.read(device, offset, sector, in.address());
                  assertEquals(-1, out.mismatch(in), "write " + i + " at " + offset);
                }
              }
            }));
      }
      for (Future<?> end : ends) {
        end.get();
      }
    }
  }

  @Test
  void theLastBytesOfAnOddFileAreReadAndWrittenAndTheFileKeepsItsSize() throws IOException {
    assumeTrue(isFile(), "only files have odd sizes");
    for (int tail : new int[] {512, 1024, 2560, 3584}) {
      long size = 64 * 1024L + tail;
      Path path = medium(size);
      try (Arena arena = Arena.ofShared();
          BackingDevice device = open(path)) {
        MemorySegment data = arena.allocate(8192, 4096).fill((byte) 1);
        MemorySegment seen = arena.allocate(8192, 4096);
        SyncBacking.write(device, size - 8192, 8192, data.address()); // across both descriptors
        data.fill((byte) 2);
        SyncBacking.write(device, size - 512, 512, data.address());
        SyncBacking.read(device, size - 8192, 8192, seen.address());
        for (int i = 0; i < 8192; i++) {
          assertEquals(i < 8192 - 512 ? 1 : 2, seen.get(ValueLayout.JAVA_BYTE, i), "byte " + i);
        }
      }
      assertEquals(size, path.toFile().length());
      media.close();
    }
  }

  @Test
  void aFileThatShrankGivesInputOutputErrorsNotHangs() throws IOException {
    assumeTrue(isFile(), "only files shrink");
    Path path = medium(MIB);
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(path)) {
      long memory = arena.allocate(65536, 4096).address();
      Shell.run("truncate", "-s", "66048", path.toString());
      Traffic.assertErrno(0, read(device, 0, 65536, memory));
      Traffic.assertErrno(Errno.EIO, read(device, 65536, 8192, memory)); // 512 bytes are there
      Traffic.assertErrno(Errno.EIO, read(device, 61440, 65536, memory));
      Traffic.assertErrno(Errno.EIO, read(device, 512 * 1024, 512, memory));
      String told = told(() -> SyncBacking.read(device, 65536, 8192, memory));
      assertEquals(
          "backing " + path + ": reading 8192 bytes at 65536 failed: Input/output error", told);
    }
  }

  @Test
  void aReadOnlyDeviceReadsAndRefusesToWrite() throws IOException {
    Path path = medium(MIB);
    try (Arena arena = Arena.ofShared();
        BackingDevice one = BackingDevices.open(path.toString(), forReading());
        BackingDevice two = BackingDevices.open(path.toString(), forReading())) {
      long memory = arena.allocate(4096, 4096).address();
      assertTrue(one.readOnly());
      Traffic.assertErrno(0, read(one, 0, 4096, memory));
      Traffic.assertErrno(0, read(two, 0, 4096, memory));
      Traffic.assertErrno(Errno.EROFS, write(one, 0, 4096, memory));
      SyncBacking.flush(one);
      String told = told(() -> open(path));
      assertTrue(told.contains("is in use by this process"), told);
    }
    open(path).close();
  }

  @Test
  void aSecondOpenIsToldWhoHasIt() throws IOException {
    Path path = medium(MIB);
    try (BackingDevice device = open(path)) {
      assertEquals(path.toString(), device.name());
      for (boolean readOnly : new boolean[] {false, true}) {
        BackingOptions options = new BackingOptions(readOnly, way(), 2);
        String told = told(() -> BackingDevices.open(path.toString(), options));
        assertTrue(told.startsWith("backing " + path + ": is in use by this process"), told);
      }
    }
    open(path).close();
  }

  @Test
  void requestsOutsideOrBetweenBlocksAreInvalid() throws IOException {
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(medium(MIB))) {
      long memory = arena.allocate(8192, 4096).address();
      int sector = BackingDevice.SECTOR_BYTES;
      Traffic.assertErrno(Errno.EINVAL, read(device, MIB, sector, memory));
      Traffic.assertErrno(Errno.EINVAL, read(device, MIB - sector, 2 * sector, memory));
      Traffic.assertErrno(Errno.EINVAL, write(device, -sector, sector, memory));
      Traffic.assertErrno(Errno.EINVAL, write(device, 0, -sector, memory));
      Traffic.assertErrno(Errno.EINVAL, write(device, 1, sector, memory));
      Traffic.assertErrno(Errno.EINVAL, read(device, 0, sector - 1, memory));
      Traffic.assertErrno(Errno.EINVAL, read(device, Long.MAX_VALUE - sector + 1, sector, memory));
      Traffic.assertErrno(0, read(device, MIB, 0, memory));
    }
  }

  @Test
  void aBadAddressIsAnErrorOfItsRequest() throws IOException {
    try (BackingDevice device = open(medium(MIB))) {
      Traffic.assertErrno(Errno.EFAULT, write(device, 0, 4096, 4096));
    }
  }

  /** Whole blocks and parts of them, within what has space and beside it. */
  @Test
  void whatIsZeroedReadsAsZerosAndItsNeighboursAsBefore() throws IOException {
    int size = MIB + (isFile() ? 2560 : 0);
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(medium(size))) {
      MemorySegment data = arena.allocate(size, 4096).fill((byte) 7);
      MemorySegment seen = arena.allocate(size, 4096);
      int sector = BackingDevice.SECTOR_BYTES;
      long[][] ranges = {
        {0, sector},
        {8192, 65536},
        {131072 + sector, 65536},
        {300 * 1024, 4096 - sector},
        {512 * 1024 - sector, 2L * sector},
        {size - 3L * sector, 3L * sector},
        {0, size}
      };
      for (boolean unmap : new boolean[] {true, false}) {
        SyncBacking.write(device, 0, size, data.fill((byte) 7).address());
        for (long[] range : ranges) {
          Traffic.assertErrno(0, zero(device, range[0], range[1], unmap));
          data.asSlice(range[0], range[1]).fill((byte) 0);
          SyncBacking.read(device, 0, size, seen.address());
          assertEquals(-1, data.mismatch(seen), "after zeroing " + range[1] + " at " + range[0]);
        }
      }
    }
  }

  @Test
  void aRangeThatIsUnmappedTakesNoSpaceAndOneThatIsZeroedKeepsIt() throws Exception {
    assumeTrue(isFile(), "a file's space is easily seen");
    Path path = medium(4 * MIB);
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(path)) {
      long memory = arena.allocate(4 * MIB, 4096).fill((byte) 7).address();
      SyncBacking.write(device, 0, 4 * MIB, memory);
      Traffic.assertErrno(0, zero(device, MIB, MIB, false));
      SyncBacking.flush(device);
      assertEquals(4, allocatedMib(path));
      Traffic.assertErrno(0, zero(device, 2 * MIB, 2 * MIB, true));
      SyncBacking.flush(device);
      assertEquals(2, allocatedMib(path));
      assertEquals(4 * MIB, path.toFile().length());
    }
  }

  @Test
  void aFileTellsItsHolesAndABlockDeviceHasNone() throws IOException {
    Path path = medium(4 * MIB);
    int size = 64 << 10;
    BackingDevice device = open(path);
    try (Arena arena = Arena.ofShared()) {
      SyncBacking.write(device, MIB, size, arena.allocate(size, 4096).fill((byte) 7).address());
      SyncBacking.flush(device);
      if (!isFile()) {
        assertEquals(4 * MIB, device.nextHole(0, 4 * MIB));
        return;
      }
      assertEquals(0, device.nextHole(0, 4 * MIB));
      assertEquals(MIB, device.nextData(0, 4 * MIB));
      assertEquals(512, device.nextData(0, 512), "no further than was asked");
      assertEquals(MIB + 512, device.nextHole(MIB, MIB + 512));
      assertEquals(MIB + size, device.nextHole(MIB, 4 * MIB));
      assertEquals(4 * MIB, device.nextData(MIB + size, 4 * MIB));
      assertEquals(MIB, device.nextData(MIB, 4 * MIB), "there is no hole");
      Traffic.assertErrno(0, zero(device, MIB, size, true));
      assertEquals(4 * MIB, device.nextData(0, 4 * MIB), "unmapped");
    } finally {
      device.close();
    }
    assertEquals(4 * MIB, device.nextHole(0, 4 * MIB), "a closed device knows nothing");
    assertEquals(0, device.nextData(0, 4 * MIB));
  }

  @Test
  void aDeviceThatShrankHasNoHoleBehindItsEnd() throws IOException {
    assumeTrue(isFile(), "only files shrink");
    Path path = medium(4 * MIB);
    try (BackingDevice device = open(path)) {
      try (var file = new RandomAccessFile(path.toFile(), "rw")) {
        file.setLength(2 * MIB);
      }
      assertEquals(2 * MIB, device.nextData(0, 4 * MIB));
      assertEquals(4 * MIB, device.nextHole(3 * MIB, 4 * MIB));
    }
  }

  private static long allocatedMib(Path path) throws IOException {
    long sectors = Long.parseLong(Shell.run("stat", "-c", "%b", path.toString()));
    return Math.round(sectors * 512.0 / MIB);
  }

  @Test
  void aRangeToZeroThatIsNotTheDevicesIsRefusedWhole() throws IOException {
    Path path = medium(MIB);
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(path)) {
      MemorySegment data = arena.allocate(8192, 4096).fill((byte) 7);
      int sector = BackingDevice.SECTOR_BYTES;
      SyncBacking.write(device, MIB - 8192, 8192, data.address());
      Traffic.assertErrno(Errno.EINVAL, zero(device, MIB - 8192, 8192 + sector, true));
      Traffic.assertErrno(Errno.EINVAL, zero(device, MIB - 8192, Long.MAX_VALUE, true));
      Traffic.assertErrno(Errno.EINVAL, zero(device, -sector, sector, true));
      Traffic.assertErrno(Errno.EINVAL, zero(device, MIB - 8192, sector - 1, true));
      Traffic.assertErrno(0, zero(device, MIB, 0, true));
      MemorySegment seen = arena.allocate(8192, 4096);
      SyncBacking.read(device, MIB - 8192, 8192, seen.address());
      assertEquals(-1, data.mismatch(seen));
    }
    try (BackingDevice device = BackingDevices.open(path.toString(), BackingOptions.forReading())) {
      Traffic.assertErrno(Errno.EROFS, zero(device, 0, 4096, true));
    }
  }

  @Test
  void manyFlushesAmongWritesAllComplete() throws Exception {
    try (Arena arena = Arena.ofShared();
        BackingDevice device = open(medium(MIB))) {
      long memory = arena.allocate(4096, 4096).fill((byte) 9).address();
      Semaphore ended = new Semaphore(0);
      AtomicInteger failures = new AtomicInteger();
      for (int i = 0; i < 200; i++) {
        device.write(
            (i % 256) * 4096L,
            4096,
            memory,
            e -> {
              failures.addAndGet(e);
              device.flush(f -> {
                failures.addAndGet(f);
                ended.release();
              });
            });
      }
      assertTrue(ended.tryAcquire(200, 50, TimeUnit.SECONDS));
      assertEquals(0, failures.get());
    }
  }

  @Test
  void closeUnderLoadEndsEveryRequestFirstAndTurnsAwayTheRest() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(64 * 1024, 4096);
      ConcurrentLinkedQueue<Integer> results = new ConcurrentLinkedQueue<>();
      BackingDevice device = open(medium(4 * MIB));
      for (int i = 0; i < 64; i++) {
        device.read(i * 65536L, 65536, memory.address(), results::add);
      }
      device.close();
      assertEquals(64, results.size(), "ended before close did");
      assertEquals(0, results.stream().mapToInt(e -> e).sum());
      Traffic.assertErrno(Errno.ESHUTDOWN, read(device, 0, 4096, memory.address()));
      Traffic.assertErrno(Errno.ESHUTDOWN, write(device, 0, 4096, memory.address()));
      CompletableFuture<Integer> flushed = new CompletableFuture<>();
      device.flush(flushed::complete);
      Traffic.assertErrno(Errno.ESHUTDOWN, flushed.join());
      device.close();
    }
  }

  /** The one line that the user is told. */
  static String told(Executable action) {
    String message = assertThrows(UserException.class, action).getMessage();
    assertEquals(1, String.valueOf(message).lines().count(), message);
    return String.valueOf(message);
  }

  static int read(BackingDevice device, long offset, int length, long address) {
    CompletableFuture<Integer> result = new CompletableFuture<>();
    device.read(offset, length, address, result::complete);
    return result.join();
  }

  static int write(BackingDevice device, long offset, int length, long address) {
    CompletableFuture<Integer> result = new CompletableFuture<>();
    device.write(offset, length, address, result::complete);
    return result.join();
  }

  static int zero(BackingDevice device, long offset, long length, boolean unmap) {
    CompletableFuture<Integer> result = new CompletableFuture<>();
    device.zero(offset, length, unmap, result::complete);
    return result.join();
  }
}
