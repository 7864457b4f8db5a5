package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a sender with many requests under way may rely on. */
@Timeout(300)
class WindowTest {
  private static final int REQUESTS = 200_000;

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 32, 128})
  void neverHasMoreUnderWayThanItMayAndLosesNoWakeUp(int most) {
    Window window = new Window(most);
    AtomicInteger underWay = new AtomicInteger();
    AtomicInteger greatest = new AtomicInteger();
    try (ExecutorService device = Executors.newFixedThreadPool(2)) {
      for (int i = 0; i < REQUESTS; i++) {
        window.enter();
        greatest.accumulateAndGet(underWay.incrementAndGet(), Math::max);
        device.execute(() -> {
          underWay.decrementAndGet();
          window.leave();
        });
      }
      window.awaitAll();
      assertEquals(0, underWay.get());
    }
    assertTrue(greatest.get() <= most, greatest + " of " + most);
  }

  @Test
  void waitsForAQuarterAtATimeUntilNothingIsUnderWay() {
    Window window = new Window(128);
    for (int i = 0; i < 100; i++) {
      window.enter();
    }
    int waits = 0;
    Thread sender = Thread.currentThread();
    try (ExecutorService device = Executors.newSingleThreadExecutor()) {
      device.execute(() -> {
        while (sender.getState() != Thread.State.WAITING) {
          Thread.onSpinWait(); // or all might have ended before it waits at all
        }
      });
      for (int i = 0; i < 100; i++) {
        device.execute(window::leave);
      }
      while (window.awaitSome()) {
        waits++;
      }
    }
    assertTrue(waits > 0 && waits <= 18, waits + " waits");
    assertFalse(window.awaitSome());
  }
}
