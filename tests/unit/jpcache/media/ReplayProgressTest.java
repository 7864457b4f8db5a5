package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ReplayProgressTest {
  private static final long SECOND = 1_000_000_000;

  private long now = Long.MAX_VALUE - SECOND; // the clock may overflow
  private final List<Long> told = new ArrayList<>();
  private final ReplayProgress progress = new ReplayProgress(() -> now, told::add);

  @Test
  void aReplayOfLessThanASecondTellsNothing() {
    now += SECOND - 1;
    progress.at(7);
    assertEquals(List.of(), told);
  }

  @Test
  void tellsOnceASecondAtMost() {
    for (long tenth = 1; tenth <= 35; tenth++) {
      now += SECOND / 10;
      progress.at(tenth);
    }
    assertEquals(List.of(10L, 20L, 30L), told);
  }

  @Test
  void afterALongPauseTellsOnce() {
    now += 10 * SECOND;
    progress.at(1);
    progress.at(2);
    assertEquals(List.of(1L), told);
  }
}
