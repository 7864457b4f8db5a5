package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import jpcache.support.ThisThread;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class AffinityTest {
  private final Affinity home = Affinity.ofThisThread();

  @AfterEach
  void restore() {
    assertTrue(home.apply());
  }

  @Test
  void aThreadRunsOnOneProcessorAndThenWhereItMightBefore() throws IOException {
    String before = ThisThread.processors();
    int processor = ThisThread.firstProcessor();
    assertTrue(home.includes(processor));
    assertTrue(home.applyOnly(processor));
    assertEquals(Integer.toString(processor), ThisThread.processors());
    assertTrue(home.apply());
    assertEquals(before, ThisThread.processors());
  }

  @Test
  void itRunsNowhereElse() throws IOException {
    String before = ThisThread.processors();
    for (int processor : new int[] {-1, Integer.MIN_VALUE, 8191, 8192, Integer.MAX_VALUE}) {
      assertFalse(home.applyOnly(processor), () -> "processor " + processor);
    }
    assertEquals(before, ThisThread.processors());
  }
}
