package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import org.jetbrains.lincheck.datastructures.IntGen;
import org.jetbrains.lincheck.datastructures.ModelCheckingOptions;
import org.jetbrains.lincheck.datastructures.Operation;
import org.jetbrains.lincheck.datastructures.Param;
import org.jetbrains.lincheck.datastructures.Validate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Direct writes and write-back of the same bytes, whose threads Lincheck interrupts anywhere: in
 * the end the device holds what the tree holds, which is the order in which writes entered.
 */
@Param(name = "from", gen = IntGen.class, conf = "0:2")
@Param(name = "count", gen = IntGen.class, conf = "1:2")
public class DeviceOrderLincheckTest {
  private static final int BYTES = 4;

  private final DeviceOrder order = new DeviceOrder();

  /** What number each byte was written by; its monitor is the subtree's. */
  private final int[] tree = new int[BYTES];

  /** Writes of it that overlap and are under way at once may end up mixed. */
  private final int[] device = new int[BYTES];

  private int writes;

  private final class Write implements Runnable {
    private final int from;
    private final int to;
    private final int number = ++writes;
    private final DeviceOrder.Turn turn;

    Write(int from, int count) {
      this.from = from;
      to = from + count;
      turn = order.enter(from, count, this);
      Arrays.fill(tree, from, to, number);
    }

    @Override
    public void run() {
      for (int at = from; at < to; at++) {
        device[at] = number;
      }
      order.leave(turn);
    }
  }

  @Operation
  public void write(@Param(name = "from") int from, @Param(name = "count") int count) {
    Write write;
    synchronized (tree) {
      write = new Write(from, count);
    }
    order.go(write.turn);
  }

  /** By one thread at a time; brings what is the newest once it has its turn. */
  @Operation(nonParallelGroup = "maintenance")
  public void writeBack(@Param(name = "from") int from, @Param(name = "count") int count) {
    DeviceOrder.Turn turn = order.takeForWriteBack(from, count);
    int[] newest;
    synchronized (tree) {
      newest = tree.clone();
    }
    for (int at = from; at < from + count; at++) {
      device[at] = newest[at];
    }
    order.leave(turn);
  }

  @Validate
  public void theDeviceHoldsWhatTheTreeHolds() {
    assertArrayEquals(tree, device);
  }

  @Test
  @Timeout(86_400)
  void overlappingWritesReachTheDeviceInTheOrderOfTheirKeys() {
    new ModelCheckingOptions()
        .iterations(30)
        .invocationsPerIteration(Integer.getInteger("jpcache.lincheck.invocations", 300))
        .threads(3)
        .actorsPerThread(2)
        .actorsBefore(0)
        .actorsAfter(0)
        .check(DeviceOrderLincheckTest.class);
  }
}
