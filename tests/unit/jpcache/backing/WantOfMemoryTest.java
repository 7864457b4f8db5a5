package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The device over raw I/O that refuses a call for want of memory: each of them in turn. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WantOfMemoryTest {
  private static final int SIZE = (1 << 20) + 2560;
  private static final Geometry GEOMETRY = new Geometry(SIZE, 512, 4096, 512, SIZE - 2560, 4096);

  /** Set to repeat a failure. */
  private static final long SEED = Long.getLong("seed", System.nanoTime());

  static {
    System.out.println("WantOfMemoryTest -Dseed=" + SEED);
  }

  /** The results of each request. */
  private final List<List<Integer>> results = new ArrayList<>();

  private final Arena arena = Arena.ofAuto();
  private final long memory = arena.allocate(65536, 4096).fill((byte) 7).address();

  @Test
  void everyRequestEndsOnceWhicheverCallIsRefused() {
    int call = 0;
    boolean refused;
    do {
      SimulatedIo io = new SimulatedIo(GEOMETRY, SEED, 0);
      DirectDevice device =
          new DirectDevice(
              "simulated", GEOMETRY, false, io, SimulatedIo.DIRECT, SimulatedIo.PLAIN, () -> {});
      io.refuseCall(++call);
      List<Integer> errnos = run(device, io);
      assertTrue(errnos.stream().allMatch(e -> e == 0 || e == Errno.ENOMEM), errnos::toString);
      refused = errnos.contains(Errno.ENOMEM);
      io.refuseCall(Integer.MAX_VALUE);
      run(device, io).forEach(errno -> assertEquals(0, errno, "afterwards"));
      device.close();
    } while (refused);
    assertTrue(call > 20, call + " calls");
  }

  /** Requests of every kind, among them some that wait for others, until nothing is under way. */
  private List<Integer> run(DirectDevice device, SimulatedIo io) {
    results.clear();
    device.write(0, 8192, memory, told());
    device.write(512, 512, memory, told());
    device.write(1024, 512, memory, told());
    device.write(3584, 9216, memory, told()); // both ends are parts of granules, and are shared
    device.write(16384, 4096, memory + 4, told());
    device.write(SIZE - 8192, 8192, memory, told()); // across the tail
    device.flush(told());
    device.flush(told());
    device.read(512, 20480, memory + 32768, told());
    device.read(SIZE - 8192, 8192, memory + 32768, told());
    device.zero(8704, 32768, true, told());
    device.zero(131072, 65536, false, told());
    device.flush(told());
    while (!io.idle()) {
      io.step();
    }
    List<Integer> errnos = new ArrayList<>();
    for (List<Integer> result : results) {
      assertEquals(1, result.size(), "ends of a request");
      errnos.addAll(result);
    }
    return errnos;
  }

  private Completion told() {
    List<Integer> result = new ArrayList<>();
    results.add(result);
    return result::add;
  }
}
