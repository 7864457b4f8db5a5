package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What the model of a device lets pass, and what it does not: who judges must be judged first. */
class HistoryModelTest {
  private static final int SECTOR = 3;
  private static final int FIRST_CONTENT = 0;
  private static final int ZERO = SectorModel.ZERO;

  private final HistoryModel model = new HistoryModel(8);

  private int begin(boolean zeros) {
    int write = model.number();
    model.begin(write, SECTOR, 1, zeros);
    return write;
  }

  private void end(int write, boolean survives) {
    model.end(write, SECTOR, 1, survives);
  }

  private int write(boolean survives) {
    int write = begin(false);
    end(write, survives);
    return write;
  }

  private int zeros(boolean survives) {
    int write = begin(true);
    end(write, survives);
    return write;
  }

  private boolean reads(int found) {
    return model.expect(SECTOR, 1).allows(0, found);
  }

  private boolean survives(int found) {
    return model.copy().survivor(SECTOR, found) != HistoryModel.NONE;
  }

  @Test
  void aWriteThatHasEndedHidesWhatWasThereBefore() {
    int first = write(true);
    int second = write(true);
    assertFalse(reads(FIRST_CONTENT));
    assertFalse(reads(first));
    assertTrue(reads(second));
    assertFalse(reads(ZERO));
    assertFalse(reads(-1), "torn");
    assertFalse(reads(second + 1), "never written");
  }

  @Test
  void ofWritesUnderWayTogetherEitherMayBeReadAndThenItStays() {
    int first = begin(false);
    int second = begin(false);
    assertTrue(reads(FIRST_CONTENT));
    assertTrue(reads(first));
    assertTrue(reads(second), "nothing is settled yet");
    end(second, true);
    assertFalse(reads(FIRST_CONTENT));
    assertTrue(reads(first));
    end(first, true);
    assertTrue(reads(first));
    assertFalse(reads(second), "first was read, and nothing has come since");
  }

  @Test
  void aReadMayGiveWhatWasWrittenSinceItBegan() {
    HistoryModel.Expectation early = model.expect(SECTOR, 1);
    int write = write(true);
    assertTrue(early.allows(0, FIRST_CONTENT));
    assertTrue(early.allows(0, write));
    assertFalse(reads(FIRST_CONTENT));
  }

  @Test
  void aWriteThatFailedMayBeSeenOrNotAndOneThatWasWithdrawnIsNot() {
    int failed = begin(false);
    model.fail(failed, SECTOR, 1);
    assertTrue(survives(FIRST_CONTENT));
    assertTrue(survives(failed));
    int withdrawn = begin(false);
    model.withdraw(withdrawn, SECTOR, 1);
    assertFalse(reads(withdrawn));
    assertFalse(survives(withdrawn));
  }

  @Test
  void whatMustSurviveDoesAndWhatCameLaterMay() {
    int lost = write(true);
    int durable = write(true);
    int later = write(false);
    assertFalse(survives(FIRST_CONTENT));
    assertFalse(survives(lost));
    assertTrue(survives(durable));
    assertTrue(survives(later));
    model.flushed(model.floors());
    assertFalse(survives(durable));
    assertTrue(survives(later));
  }

  @Test
  void whatWasFoundAfterACrashStays() {
    int unacknowledged = begin(false);
    model.restart(SECTOR, model.survivor(SECTOR, FIRST_CONTENT), true);
    assertFalse(reads(unacknowledged));
    assertFalse(survives(unacknowledged));
    assertTrue(survives(FIRST_CONTENT));
  }

  @Test
  void whatAProcessFindsOfAnotherIsNotDurableForThat() {
    int write = write(false);
    model.restart(SECTOR, model.survivor(SECTOR, write), false);
    assertTrue(reads(write));
    assertFalse(reads(FIRST_CONTENT));
    assertTrue(survives(FIRST_CONTENT), "the power may be cut");
  }

  @Test
  void aFlushDoesNotVouchForWhatAFailedOneHasPutInDoubt() {
    int write = write(false);
    model.doubt();
    model.flushed(model.floors());
    assertTrue(survives(FIRST_CONTENT));
    model.powerCut();
    model.restart(SECTOR, model.survivor(SECTOR, write), true);
    assertFalse(survives(FIRST_CONTENT), "it has come out");
  }

  @Test
  void zerosAreOfAnyWriteOfZerosThatIsAllowed() {
    assertFalse(reads(ZERO));
    int first = zeros(true);
    assertTrue(reads(ZERO));
    int over = write(true);
    assertFalse(reads(ZERO));
    assertFalse(survives(ZERO));
    int underWay = begin(true);
    assertTrue(reads(ZERO));
    assertTrue(survives(ZERO));
    assertEquals(underWay, model.survivor(SECTOR, ZERO));
    model.withdraw(underWay, SECTOR, 1);
    assertFalse(reads(ZERO), "those of before were overwritten: " + first + ", " + over);
  }

  @Test
  void zerosThatWereUnderWayTogetherWithALaterOneCountToo() {
    int longer = begin(true);
    int shorter = zeros(true);
    int write = write(true);
    assertTrue(reads(ZERO), "of " + longer + ", not of " + shorter);
    end(longer, true);
    assertTrue(reads(ZERO));
    assertFalse(reads(write), "zeros were read when nothing was under way");
  }

  @Test
  void otherSectorsAreNotTouched() {
    var _ = zeros(true);
    assertTrue(model.expect(SECTOR + 1, 1).allows(0, FIRST_CONTENT));
    assertFalse(model.expect(SECTOR + 1, 1).allows(0, ZERO));
  }

  @Test
  void aCopyGoesItsOwnWay() {
    HistoryModel copy = model.copy();
    int write = write(true);
    assertFalse(copy.expect(SECTOR, 1).allows(0, write));
    assertTrue(copy.expect(SECTOR, 1).allows(0, FIRST_CONTENT));
  }
}
