package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The device over a kernel that reorders, interrupts, shortens and fails by seed. */
class DirectDevicePropertyTest {
  /** Set to repeat a failure. */
  private static final long SEED = Long.getLong("seed", System.nanoTime());

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
  })
  void holdsWhatWasWrittenWhateverTheAlignment(
      int granule, int memory, int tail, int requests, int longest) {
    check(geometry(granule, memory, tail < 0 ? SIZE : tail), 0, requests, longest);
  }

  @ParameterizedTest
  @CsvSource({"4096, 512, 2560", "512, 512, 0"})
  void aFailedRequestHarmsNobodyElse(int granule, int memory, int tail) {
    int failed = check(geometry(granule, memory, tail), 40, 4000, 20480);
    assertTrue(failed > 20, "only " + failed + " requests failed");
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

  private static int check(Geometry geometry, int failOneIn, int requests, int longest) {
    System.out.println(geometry + " -Dseed=" + SEED);
    SimulatedIo io = new SimulatedIo(geometry, SEED, failOneIn);
    DirectDevice device =
        new DirectDevice(
            "simulated", geometry, false, io, SimulatedIo.DIRECT, SimulatedIo.PLAIN, () -> {});
    Traffic traffic = new Traffic(device, SEED, io::step);
    traffic.run(requests, longest);
    device.close(); // not after a failure: it would wait for what nobody steps any more
    return traffic.failed();
  }
}
