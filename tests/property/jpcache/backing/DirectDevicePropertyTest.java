package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import jpcache.base.Posix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The device over a kernel that reorders, interrupts, shortens and fails by seed. */
class DirectDevicePropertyTest {
  /** Set to repeat a failure. */
  private static final long SEED = Long.getLong("seed", System.nanoTime());

  static {
    System.out.println("DirectDevicePropertyTest -Dseed=" + SEED);
  }

  private static final int SIZE = (3 << 20) + 2560;

  @ParameterizedTest
  @CsvSource({
    // granule, memory alignment, bytes of the tail, requests, longest
    " 4096,  512,  2560, 6000,   20480",
    " 4096, 4096,  2560, 4000,   20480",
    " 4096,    4,  2560,  100, 3000000",
    "  512,    4,     0, 4000,   20480",
    "65536,  512, 68096, 4000,  150000",
    "  512,    1,  -1,   2000,   20480",
    "  512, 4096,     0, 4000,   20480",
    " 1024, 4096,  2560, 4000,   20480",
    "  512, 65536,    0,  300,  300000",
  })
  void holdsWhatWasWrittenWhateverTheAlignment(
      int granule, int memory, int tail, int requests, int longest) {
    check(geometry(granule, memory, tail < 0 ? SIZE : tail), 0, requests, longest);
  }

  @ParameterizedTest
  @CsvSource({"4096, 512, 2560", "512, 512, 0", "1024, 4096, 2560"})
  void aFailedRequestHarmsNobodyElse(int granule, int memory, int tail) {
    int failed = check(geometry(granule, memory, tail), 40, 4000, 20480);
    assertTrue(failed > 20, "only " + failed + " requests failed");
  }

  /** Which of two overlapping writes wins is open; that their other bytes are kept is not. */
  @ParameterizedTest
  @CsvSource({"4096, 512, 2560", "65536, 512, 68096"})
  void writesThatOverlapLeaveNothingOlder(int granule, int memory, int tail) {
    Geometry geometry = geometry(granule, memory, tail);
    SimulatedIo io = new SimulatedIo(geometry, SEED, 0);
    DirectDevice device = device(geometry, io);
    Random random = new Random(SEED);
    int region = 4 * granule;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment[] buffers = new MemorySegment[6];
      Arrays.setAll(buffers, i -> arena.allocate(region, 512));
      for (int round = 1; round <= 1000; round++) {
        int from = (random.nextBoolean() ? 0 : SIZE - region) / granule * granule;
        int[] missing = {0};
        BitSet[] writers = new BitSet[region / 512];
        Arrays.setAll(writers, i -> new BitSet());
        for (int writer = 1; writer <= 5; writer++) {
          int unit = random.nextBoolean() ? granule : 512;
          int first = random.nextInt(region / unit) * unit;
          int length = (1 + random.nextInt((region - first) / unit)) * unit;
          int tag = writer;
          missing[0]++;
          MemorySegment data = buffers[tag].asSlice(0, length).fill((byte) tag);
          device.write(from + first, length, data.address(), errno -> missing[0]--);
          IntStream.range(first / 512, (first + length) / 512).forEach(s -> writers[s].set(tag));
        }
        while (missing[0] > 0) {
          io.step();
        }
        for (int i = 0; i < region; i += 512) {
          BitSet possible = writers[i / 512];
          int held = io.held(from + i);
          if (!possible.isEmpty() && !possible.get(held)) {
            fail("round " + round + ", byte " + i + ": " + held + ", not of " + possible);
          }
        }
        io.clear();
      }
    }
    device.close();
  }

  /** It would have the caller wait: fallocate has the inode, and itself waits for direct I/O. */
  @Test
  void theFileSystemIsNotAskedForHolesWhileARangeIsZeroed() throws IOException {
    Geometry geometry = geometry(4096, 512, 2560);
    SimulatedIo io = new SimulatedIo(geometry, SEED, 0);
    try (Media media = new Media()) {
      Path sparse = Media.file(media.onDisk(), SIZE);
      int fd = Posix.open(sparse.toString(), Posix.O_RDONLY, 0);
      DirectDevice device =
          new DirectDevice(
              "simulated", geometry, false, io, SimulatedIo.DIRECT, fd, () -> Posix.close(fd));
      assertEquals(0, device.nextHole(0, SIZE));
      device.zero(0, 65536, true, errno -> {});
      device.zero(65536, 4096, false, errno -> {});
      assertEquals(SIZE, device.nextHole(0, SIZE), "nobody knows");
      assertEquals(0, device.nextData(0, SIZE), "nobody knows");
      while (!io.idle()) {
        io.step();
      }
      assertEquals(0, device.nextHole(0, SIZE));
      device.close();
    }
  }

  @Test
  void closeIsTheLastThingThatARawIoSees() {
    Geometry geometry = geometry(4096, 512, 2560);
    SimulatedIo io = new SimulatedIo(geometry, SEED, 0);
    AtomicInteger released = new AtomicInteger();
    DirectDevice device =
        new DirectDevice(
            "simulated",
            geometry,
            false,
            io,
            SimulatedIo.DIRECT,
            SimulatedIo.PLAIN,
            released::incrementAndGet);
    device.close();
    device.close();
    assertEquals(1, released.get());
  }

  private static Geometry geometry(int granule, int memory, int tail) {
    return new Geometry(SIZE, 512, granule, memory, SIZE - tail, 4096);
  }

  private static DirectDevice device(Geometry geometry, SimulatedIo io) {
    return new DirectDevice(
        "simulated", geometry, false, io, SimulatedIo.DIRECT, SimulatedIo.PLAIN, () -> {});
  }

  private static int check(Geometry geometry, int failOneIn, int requests, int longest) {
    SimulatedIo io = new SimulatedIo(geometry, SEED, failOneIn);
    DirectDevice device = device(geometry, io);
    Traffic traffic = new Traffic(device, SEED, io::step);
    traffic.run(requests, longest);
    device.close(); // not after a failure: it would wait for what nobody steps any more
    return traffic.failed();
  }
}
