package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What goes wrong on the simulated device's own thread reaches the test that has caused it. */
@Timeout(300)
class SimBackingTest {
  private final SimBacking device = new SimBacking(new byte[8192], true, 1);
  private final AssertionError wrong = new AssertionError("an answer that is not as it should be");

  @Test
  void anExceptionInAnAnswerIsToldAtOnceAndThrownAtTheEnd() throws Exception {
    CompletableFuture<Throwable> told = new CompletableFuture<>();
    device.onFailure(told::complete);
    device.flush(errno -> {
      throw wrong;
    });
    assertSame(wrong, told.get());
    AssertionError end = assertThrows(AssertionError.class, device::close);
    assertSame(wrong, end.getCause());
  }

  @Test
  void thoseWhoWaitForOtherAnswersGetThemAllTheSame() throws Exception {
    device.flush(errno -> {
      throw wrong;
    });
    CompletableFuture<Integer> other = new CompletableFuture<>();
    device.flush(other::complete);
    assertEquals(0, other.get());
    assertThrows(AssertionError.class, device::close);
  }

  @Test
  void closeLetsAnswersUnderWayEndFirst() {
    int[] answers = {0};
    for (int i = 0; i < 100; i++) {
      device.flush(errno -> answers[0]++);
    }
    device.close();
    assertEquals(100, answers[0]);
  }
}
