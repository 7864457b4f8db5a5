package jpcache.fuzz;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;

/** An input that breaks a limit is told, and so that it can be repeated. */
class JudgeTest {
  private static final long LIMIT_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  private static final ThreadMXBean THREAD = ManagementFactory.getThreadMXBean();

  private record Target(Consumer<byte[]> use) implements FuzzTarget {
    @Override
    public void accept(byte[] input) {
      use.accept(input);
    }

    @Override
    public List<byte[]> seeds() {
      return List.of();
    }
  }

  private static void judge(Consumer<byte[]> use) {
    new Judge("this", new Target(use), LIMIT_NANOS).feed(new byte[] {1, 2, 3});
  }

  private static void finds(String what, Consumer<byte[]> use) {
    AssertionError found = assertThrows(AssertionError.class, () -> judge(use));
    String message = String.valueOf(found.getMessage());
    assertTrue(message.contains(what) && message.endsWith("AQID"), message);
  }

  @Test
  void whatIsReadOrRefusedInOneLineIsRight() {
    assertDoesNotThrow(() -> judge(input -> {}));
    assertTrue(
        Judge.refuses(() -> {
          throw new UserException("no");
        }));
  }

  @Test
  void anExceptionIsFound() {
    finds(
        "IllegalStateException",
        input -> {
          throw new IllegalStateException();
        });
  }

  @Test
  void aRefusalThatIsNotOneLineIsFound() {
    finds(
        "not one line",
        input -> {
          boolean _ =
              Judge.refuses(() -> {
                throw new UserException("no\nno");
              });
        });
  }

  @Test
  void anInputThatTakesTooLongIsFound() {
    finds(
        "took",
        input -> {
          long end = THREAD.getCurrentThreadCpuTime() + 2 * LIMIT_NANOS;
          while (THREAD.getCurrentThreadCpuTime() < end) {
            Thread.onSpinWait();
          }
        });
  }

  @Test
  void anInputThatAllocatesTooMuchIsFoundThoughItHoldsLittleAtATime() {
    finds(
        "took",
        input -> {
          long sum = 0;
          for (int mib = 0; mib < 260; mib++) {
            sum += new byte[1 << 20].length;
          }
          assertTrue(sum > 0);
        });
  }
}
