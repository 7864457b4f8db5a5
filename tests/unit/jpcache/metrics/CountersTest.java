package jpcache.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

class CountersTest {
  private enum Event {
    ONE,
    MANY
  }

  private final Counters<Event> counters = new Counters<>(Event.class);

  @Test
  void theSumIsThatOfAllStripesOpenAndClosed() {
    Counters.Stripe<Event> first = counters.open();
    Counters.Stripe<Event> second = counters.open();
    first.add(Event.ONE, 1);
    first.add(Event.MANY, 1L << 40);
    second.add(Event.MANY, 2);
    first.close();
    first.close();
    assertEquals(1, counters.sum(Event.ONE));
    assertEquals((1L << 40) + 2, counters.sum(Event.MANY));
  }

  @Test
  void nothingIsLostOrCountedTwiceWhileThreadsComeAndGoAndItNeverGoesDown() throws Exception {
    int threads = 4;
    int rounds = 50;
    int adds = 1000;
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        all.add(
            pool.submit(() -> {
              for (int round = 0; round < rounds; round++) {
                try (Counters.Stripe<Event> stripe = counters.open()) {
                  for (int n = 0; n < adds; n++) {
                    stripe.add(Event.ONE, 1);
                  }
                }
              }
            }));
      }
      long seen = 0;
      while (!all.stream().allMatch(Future::isDone)) {
        long now = counters.sum(Event.ONE);
        assertTrue(now >= seen, () -> "the sum went down to " + now);
        seen = now;
      }
      for (Future<?> one : all) {
        one.get();
      }
    }
    assertEquals((long) threads * rounds * adds, counters.sum(Event.ONE));
  }
}
