package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/**
 * A client whose round trips take as long as the test says, apart from the thread and beside it.
 */
class PlacementTest {
  private static final long SECOND = 1_000_000_000L;

  private final Machine machine = new Machine();
  private final Placement placement = new Placement(machine);
  private long now = -5 * SECOND; // nanoTime may be anything
  private long apartNanos = 12_000;
  private long besideNanos = 7_000;
  private int requests = 1;
  private long nanosBeside;

  private static final class Machine implements Placement.Processors {
    private int moves;
    private boolean found = true;
    private boolean moved;

    @Override
    public void watch() {
      assertFalse(moved, "beside the client there is nothing to look for");
    }

    @Override
    public boolean moveToClient(int roundTrips) {
      assertTrue(roundTrips > 0);
      moves++;
      moved = found;
      return found;
    }

    @Override
    public void moveAway() {
      assertTrue(moved, "it is where it was");
      moved = false;
    }
  }

  /** Lets the client work for so long. */
  private void work(long nanos) {
    long end = now + nanos;
    nanosBeside = 0;
    while (now < end) {
      long roundTrip = placement.beside() ? besideNanos : apartNanos;
      nanosBeside += placement.beside() ? roundTrip : 0;
      now += roundTrip;
      placement.answered(requests, now);
      assertEquals(machine.moved, placement.beside());
    }
  }

  @Test
  void theThreadMovesToAClientThatIsServedFasterThere() {
    work(20_000_000);
    assertTrue(placement.beside(), "after 20 ms");
    work(10 * SECOND);
    assertTrue(nanosBeside > 9 * SECOND + SECOND / 2, "of 10 s: " + nanosBeside);
  }

  @Test
  void itStaysAwayFromOneThatIsServedFasterApart() {
    besideNanos = 14_000;
    work(10 * SECOND);
    assertTrue(nanosBeside < SECOND / 25, "of 10 s: " + nanosBeside);
    assertTrue(machine.moves > 1, "it tries again");
  }

  @Test
  void itGoesAwayWhenTheProcessorGetsCrowded() {
    work(SECOND);
    besideNanos = 3_000_000; // somebody else's turns
    long moves = machine.moves;
    work(60_000_000);
    assertFalse(placement.beside(), "after 60 ms");
    work(30 * SECOND);
    assertTrue(machine.moves - moves < 12, "tries in 30 s: " + (machine.moves - moves));
    besideNanos = 7_000;
    work(20 * SECOND);
    assertTrue(placement.beside(), "it has become free again");
  }

  @Test
  void itGoesAwayFromAClientThatHasSeveralRequestsUnderWay() {
    work(SECOND);
    assertTrue(placement.beside());
    requests = 4;
    work(10_000_000);
    assertFalse(placement.beside());
    work(10 * SECOND);
    assertEquals(0, nanosBeside);
  }

  @Test
  void itGoesAwayFromAClientThatIsNoLongerInAHurry() {
    work(SECOND);
    besideNanos = 50_000_000;
    apartNanos = 50_000_000;
    work(200_000_000);
    assertFalse(placement.beside());
    int moves = machine.moves;
    work(100 * SECOND);
    assertEquals(moves, machine.moves);
  }

  @Test
  void aClientThatIsNotFoundIsLookedForRarely() {
    machine.found = false;
    work(30 * SECOND);
    assertTrue(machine.moves > 1 && machine.moves < 12, machine.moves + " times in 30 s");
  }

  @Test
  void whatItTakesApartIsLookedAtAgain() {
    work(SECOND);
    apartNanos = 4_000;
    work(5 * SECOND);
    assertTrue(nanosBeside < SECOND + SECOND / 2, "of 5 s: " + nanosBeside);
  }
}
