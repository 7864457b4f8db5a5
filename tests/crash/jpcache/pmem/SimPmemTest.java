package jpcache.pmem;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import jpcache.support.Power;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The laboratory's memory is as treacherous as it says, and no more. */
class SimPmemTest {
  private static final int PAGE = 4096;

  private final Power power = new Power();
  private final SimPmem pmem = new SimPmem(1 << 20, power);
  private final Arena arena = Arena.ofShared();
  private final MemorySegment bytes = arena.allocate(2 * PAGE);

  @AfterEach
  void close() {
    pmem.close();
    arena.close();
  }

  private void store(long at, long length, int value) {
    bytes.fill((byte) value);
    pmem.copy(at, bytes.address(), length);
  }

  private int seen(long at) {
    return pmem.view().get(JAVA_BYTE, at);
  }

  @Test
  void threeWordsThatWereNotDrainedMayBeLeftInEightWays() {
    pmem.persist(0, bytes.address(), 64);
    store(4, 20, 1); // half a word, a word, another
    Remains remains = pmem.remains();
    assertEquals(3, remains.words());
    Set<List<Byte>> found = new HashSet<>();
    for (Remains.State state : remains.states(100, new SplittableRandom(1))) {
      remains.leave(state);
      found.add(
          List.of(
              pmem.view().get(JAVA_BYTE, 4),
              pmem.view().get(JAVA_BYTE, 8),
              pmem.view().get(JAVA_BYTE, 16)));
      assertEquals(0, seen(3), "what was not stored into");
      assertEquals(0, seen(24), "what was not stored into");
    }
    assertEquals(8, found.size());
  }

  @Test
  void ofTwoStoresIntoOneWordEitherBothOrNoneMayBeLeft() {
    store(0, 8, 1);
    store(0, 8, 2);
    Remains remains = pmem.remains();
    Set<Long> found = new HashSet<>();
    for (Remains.State state : remains.states(100, new SplittableRandom(1))) {
      remains.leave(state);
      found.add(pmem.view().get(JAVA_LONG, 0));
    }
    assertEquals(Set.of(0L, 0x0101010101010101L, 0x0202020202020202L), found);
  }

  @Test
  void whatWasDrainedStaysAndWhatChangesNothingIsNoState() {
    store(0, 64, 1);
    pmem.drain();
    store(0, 64, 1);
    assertEquals(0, pmem.remains().words());
    pmem.remains().leave(Remains.NOTHING);
    assertEquals(1, seen(63));
  }

  @Test
  void whereThereAreManyStatesTheExtremesAreAmongThem() {
    store(0, PAGE, 1);
    Remains remains = pmem.remains();
    List<Remains.State> states = remains.states(50, new SplittableRandom(1));
    assertEquals(50, states.size());
    assertTrue(states.containsAll(List.of(Remains.NOTHING, Remains.EVERYTHING)));
  }

  @Test
  void nobodyDrainsAnotherThreadsStores() throws InterruptedException {
    Thread other = Thread.ofPlatform().start(() -> store(0, 8, 1));
    other.join();
    pmem.drain();
    assertEquals(1, pmem.remains().words());
    assertEquals(1, seen(0), "though everybody sees them");
  }

  @Test
  void aDeadProcessesStoresAreSeenAndLostUnlessTheirLineIsWrittenOut() {
    store(0, 8, 1);
    store(128, 8, 1);
    pmem.remains().leaveUndrained();
    assertEquals(1, seen(0));
    assertEquals(1, seen(128));
    store(56, 8, 2); // in the first one's line
    pmem.drain();
    pmem.remains().leave(Remains.NOTHING);
    assertEquals(1, seen(0));
    assertEquals(0, seen(128));
  }

  @Test
  void afterTheCutNothingIsStoredAnyMore() {
    power.cutAfter(1);
    store(0, 8, 1);
    assertThrows(Power.Cut.class, pmem::drain);
    assertThrows(Power.Cut.class, () -> store(8, 8, 1));
    assertEquals(1, pmem.remains().words());
  }

  @Test
  void poisonIsAnErrorOfWhoeverReadsIt() {
    store(0, 2 * PAGE, 1);
    pmem.drain();
    pmem.poison(PAGE, PAGE);
    PmemReads.copy(pmem.view(), 0, bytes, 0, PAGE);
    PoisonedMemoryException e =
        assertThrows(
            PoisonedMemoryException.class,
            () -> PmemReads.copy(pmem.view(), 0, bytes, 0, 2 * PAGE));
    assertEquals(PAGE, e.offsetBytes());
    pmem.heal();
    assertEquals(1, seen(PAGE));
  }
}
