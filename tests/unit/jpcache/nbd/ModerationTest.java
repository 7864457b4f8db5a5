package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** A client that takes as long for a request as the test says, with naps and without. */
class ModerationTest {
  private static final long SECOND = 1_000_000_000L;

  private final Moderation moderation = new Moderation();
  private long now = Long.MAX_VALUE - SECOND; // nanoTime may be anything, and overflow
  private long nanosWithout = 7_000;
  private long nanosWith = 5_000;
  private int batchWithout = 2;
  private int batchWith = 5;
  private boolean naps;
  private double shareWithNaps;

  /** Lets the client work for so long. */
  private void work(long nanos) {
    long end = now + nanos;
    long withNaps = 0;
    while (now - end < 0) {
      int batch = naps ? batchWith : batchWithout;
      long took = batch * (naps ? nanosWith : nanosWithout);
      withNaps += naps ? took : 0;
      now += took;
      naps = moderation.answered(batch, now);
    }
    shareWithNaps = (double) withNaps / nanos;
  }

  @Test
  void requestsGatherWhereTheClientSendsMoreForIt() {
    work(20_000_000);
    assertTrue(naps, "after 20 ms");
    work(10 * SECOND);
    assertTrue(shareWithNaps > 0.98, "share " + shareWithNaps);
  }

  @Test
  void aClientThatWaitsForItsAnswersGetsThemAtOnce() {
    nanosWith = 15_000;
    work(10 * SECOND);
    assertTrue(shareWithNaps > 0 && shareWithNaps < 0.02, "share " + shareWithNaps);
  }

  @Test
  void aClientThatSendsAtARateOfItsOwnGetsItsAnswersAtOnce() {
    nanosWith = nanosWithout;
    work(10 * SECOND);
    assertTrue(shareWithNaps > 0 && shareWithNaps < 0.02, "share " + shareWithNaps);
  }

  @Test
  void aClientWithOneRequestUnderWayIsNeverMadeToWait() {
    batchWithout = 1;
    work(10 * SECOND);
    assertEquals(0, shareWithNaps);
  }

  @Test
  void aClientInNoHurryIsNeverMadeToWait() {
    nanosWithout = 60_000;
    work(10 * SECOND);
    assertEquals(0, shareWithNaps);
  }

  @Test
  void itEndsWhenTheClientComesToWaitForItsAnswers() {
    work(SECOND);
    assertTrue(naps);
    nanosWithout = 3_000; // naps are the slower way now
    work(2 * SECOND);
    work(10 * SECOND);
    assertTrue(shareWithNaps < 0.02, "share " + shareWithNaps);
  }

  @Test
  void itEndsAtOnceWhenTheClientSlowsDownOrSendsOneAtATime() {
    work(SECOND);
    nanosWith = 100_000;
    work(50_000_000);
    assertFalse(naps);
    nanosWith = 5_000;
    work(2 * SECOND);
    assertTrue(naps);
    batchWith = 1;
    work(20_000_000);
    assertFalse(naps);
  }
}
