package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ShortageTest {
  private static final long RETRY_NANOS = Shortage.QUIET_NANOS / 10;

  private final Shortage shortage = new Shortage();
  private long now = Long.MAX_VALUE - Shortage.QUIET_NANOS; // the clock may be anywhere

  @Test
  void isToldOnceHoweverOftenItIsMet() {
    assertTrue(shortage.begins(now));
    for (int retry = 0; retry < 100; retry++) {
      now += RETRY_NANOS;
      assertFalse(shortage.begins(now));
    }
  }

  @Test
  void endsOnceWhenItHasNotBeenMetForAWhile() {
    assertFalse(shortage.isOver(now), "there was none");
    shortage.begins(now);
    now += RETRY_NANOS;
    assertFalse(shortage.isOver(now), "one was let in, and the next may not be");
    assertFalse(shortage.begins(now));
    now += Shortage.QUIET_NANOS;
    assertTrue(shortage.isOver(now));
    assertFalse(shortage.isOver(now));
    assertTrue(shortage.begins(now), "another one");
  }

  @Test
  void isAnotherOneWhenNobodyHasAskedForAWhile() {
    shortage.begins(now);
    now += Shortage.QUIET_NANOS;
    assertTrue(shortage.begins(now));
  }
}
