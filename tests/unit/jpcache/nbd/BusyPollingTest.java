package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class BusyPollingTest {
  private final BusyPolling polling = new BusyPolling(50);

  @Test
  void pollsWhileItPays() {
    for (int i = 0; i < 1000; i++) {
      assertEquals(50_000, polling.nanos(true));
      polling.found();
    }
  }

  @Test
  void pollsNotAtAllWithoutCoresToSpareOrWhenOff() {
    assertEquals(0, polling.nanos(false));
    assertEquals(0, new BusyPolling(0).nanos(true));
  }

  @Test
  void pollsRarelyOnceItNeverPays() {
    int polls = 0;
    for (int sleep = 0; sleep < 10_000; sleep++) {
      if (polling.nanos(true) > 0) {
        polls++;
        polling.foundNothing();
      }
    }
    assertTrue(polls < 200, polls + " polls in 10000 sleeps");
    assertTrue(polls > 100, "it must notice when things change: " + polls);
  }

  @Test
  void pollsEachTimeAgainAfterOneThatPaid() {
    for (int i = 0; i < 10; i++) {
      if (polling.nanos(true) > 0) {
        polling.foundNothing();
      }
    }
    int skipped = 0;
    while (polling.nanos(true) == 0) {
      skipped++;
    }
    assertTrue(skipped <= 64, "skipped " + skipped);
    polling.found();
    assertEquals(50_000, polling.nanos(true));
  }
}
