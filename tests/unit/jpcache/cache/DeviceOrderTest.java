package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.StackWalker.StackFrame;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import jpcache.cache.DeviceOrder.Turn;
import org.junit.jupiter.api.Test;

/** Who goes when, and on how much stack. */
class DeviceOrderTest {
  private static final int WRITES = 1_000;

  private final DeviceOrder order = new DeviceOrder();
  private final List<String> gone = new ArrayList<>();

  private Turn write(String name, long offset, int length) {
    Turn turn = order.enter(offset, length, () -> gone.add(name));
    order.go(turn);
    return turn;
  }

  @Test
  void aWriteWaitsForThoseBeforeItThatOverlap() {
    Turn first = write("first", 0, 2);
    Turn second = write("second", 1, 2);
    write("elsewhere", 3, 1);
    write("third", 2, 1);
    assertEquals(List.of("first", "elsewhere"), gone);
    order.leave(first);
    assertEquals(List.of("first", "elsewhere", "second"), gone);
    order.leave(second);
    assertEquals(List.of("first", "elsewhere", "second", "third"), gone);
  }

  @Test
  void whoThrowsKeepsNoOtherFromGoing() {
    Turn first = write("first", 0, 3);
    write("second", 0, 1);
    order.go(
        order.enter(
            1,
            1,
            () -> {
              throw new IllegalStateException("a mistake");
            }));
    write("fourth", 2, 1);
    assertThrows(IllegalStateException.class, () -> order.leave(first));
    assertEquals(List.of("first", "fourth", "second"), gone.stream().sorted().toList());
  }

  /** As when the log can be stored no more, and each ends with an error before it has begun. */
  @Test
  void writesThatEndAsTheyGoTakeNoMoreStackTheMoreOfThemWait() {
    List<Long> depths = new ArrayList<>();
    Turn first = write("first", 0, 1);
    for (int i = 0; i < WRITES; i++) {
      Turn[] turn = {null};
      turn[0] =
          order.enter(
              0,
              1,
              () -> {
                depths.add(StackWalker.getInstance().walk(Stream<StackFrame>::count));
                order.leave(turn[0]);
              });
      order.go(turn[0]);
    }
    order.leave(first);
    assertEquals(WRITES, depths.size());
    assertEquals(depths.getFirst(), depths.getLast());
  }
}
