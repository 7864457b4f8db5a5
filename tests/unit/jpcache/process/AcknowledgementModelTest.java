package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import jpcache.process.AcknowledgementModel.Durability;
import jpcache.process.AcknowledgementModel.Flush;
import jpcache.process.AcknowledgementModel.Write;
import org.junit.jupiter.api.Test;

/** The checker itself must be able to fail: lost, old, torn and misplaced sectors are told. */
class AcknowledgementModelTest {
  private static final long SEED = 7;
  private static final int SECTORS = 16;

  private final Stamp stamp = new Stamp(SEED);
  private AcknowledgementModel model = new AcknowledgementModel(SECTORS, Durability.ACK, true);
  private final byte[] device = stamp.payload(AcknowledgementModel.INITIAL, 0, 0, SECTORS);

  @Test
  void anUntouchedDeviceIsRight() {
    assertEquals(List.of(), readBack());
  }

  @Test
  void anAcknowledgedWriteThatIsThereIsRight() {
    Write write = acknowledgedWrite(2, 3);
    apply(write);
    assertEquals(List.of(), readBack());
  }

  @Test
  void anAcknowledgedWriteThatIsLostIsTold() {
    acknowledgedWrite(2, 3);
    List<String> mistakes = readBack();
    assertEquals("sector 2 holds write 0, may hold writes [1 (answered)]", mistakes.getFirst());
    assertEquals("3 of 16 sectors are wrong", mistakes.getLast());
  }

  @Test
  void oneLostSectorOfAnAcknowledgedWriteIsTold() {
    Write write = acknowledgedWrite(2, 3);
    byte[] before = device.clone();
    apply(write);
    copySector(before, 4);
    assertEquals("1 of 16 sectors are wrong", readBack().getLast());
  }

  @Test
  void anOlderAcknowledgedWriteInPlaceOfTheNewestIsTold() {
    Write older = acknowledgedWrite(0, 4);
    acknowledgedWrite(0, 4);
    apply(older);
    assertEquals("4 of 16 sectors are wrong", readBack().getLast());
  }

  @Test
  void anUnansweredWriteMayBeThereInPart() {
    Write old = acknowledgedWrite(0, 4);
    apply(old);
    byte[] before = device.clone();
    Write unanswered = model.sent(0, 0, 4, false);
    apply(unanswered);
    copySector(before, 1);
    assertEquals(List.of(), readBack());
  }

  @Test
  void anUnansweredWriteMayNotHideTheAcknowledgedOneBehindItsPredecessor() {
    Write first = acknowledgedWrite(0, 1);
    acknowledgedWrite(0, 1);
    model.sent(0, 0, 1, false);
    apply(first);
    assertEquals("1 of 16 sectors are wrong", readBack().getLast());
  }

  @Test
  void ofConcurrentWritesEitherMayBeTheLater() {
    Write a = model.sent(0, 0, 1, false);
    Write b = model.sent(1, 0, 1, false);
    model.acknowledged(a);
    model.acknowledged(b);
    assertFalse(model.permits(0, AcknowledgementModel.INITIAL));
    assertTrue(model.permits(0, a.id));
    assertTrue(model.permits(0, b.id));
  }

  @Test
  void whatWasReadAfterTheCrashMustStay() {
    Write a = model.sent(0, 0, 1, false);
    apply(a);
    assertEquals(List.of(), readBack());
    copySector(stamp.payload(AcknowledgementModel.INITIAL, 0, 0, SECTORS), 0);
    assertEquals("1 of 16 sectors are wrong", readBack().getLast());
  }

  @Test
  void anUnansweredWriteThatWonIsOvertakenByTheNextRound() {
    Write unanswered = model.sent(0, 0, 1, false);
    apply(unanswered);
    assertEquals(List.of(), readBack());
    acknowledgedWrite(0, 1);
    assertFalse(model.permits(0, unanswered.id));
  }

  @Test
  void aRefusedWriteMayBeThereOrNotUntilItIsOvertaken() {
    Write refused = model.sent(0, 0, 1, false);
    model.refused(refused);
    assertTrue(model.permits(0, refused.id));
    assertTrue(model.permits(0, AcknowledgementModel.INITIAL));
    Write next = acknowledgedWrite(0, 1);
    assertFalse(model.permits(0, refused.id));
    assertTrue(model.permits(0, next.id));
  }

  @Test
  void aTornSectorIsTold() {
    Write old = acknowledgedWrite(3, 1);
    apply(old);
    byte[] before = device.clone();
    Write unanswered = model.sent(0, 3, 1, false);
    apply(unanswered);
    int half = 3 * Stamp.SECTOR_BYTES + Stamp.SECTOR_BYTES / 2;
    System.arraycopy(before, half, device, half, Stamp.SECTOR_BYTES / 2);
    String mistake = readBack().getFirst();
    assertTrue(mistake.contains("torn: write 2 of writer 0 up to byte 256"), mistake);
  }

  @Test
  void aSectorInTheWrongPlaceIsTold() {
    System.arraycopy(device, 5 * 512, device, 6 * 512, 512);
    String mistake = readBack().getFirst();
    assertTrue(mistake.contains("sector 6 holds the stamp of sector 5"), mistake);
  }

  @Test
  void zerosAndStampsOfAnotherRunAreTold() {
    Arrays.fill(device, 0, 512, (byte) 0);
    System.arraycopy(new Stamp(SEED + 1).payload(0, 0, 1, 1), 0, device, 512, 512);
    List<String> mistakes = readBack();
    assertTrue(mistakes.get(0).contains("no stamp"), mistakes::toString);
    assertTrue(mistakes.get(1).contains("another run, seed 8"), mistakes::toString);
  }

  @Test
  void inFlushModeAnAcknowledgedWriteMayBeLostUntilAFlushCoversIt() {
    model = new AcknowledgementModel(SECTORS, Durability.FLUSH, true);
    Write write = acknowledgedWrite(0, 1);
    assertTrue(model.permits(0, AcknowledgementModel.INITIAL));
    model.acknowledged(model.flushSent(1));
    assertFalse(model.permits(0, AcknowledgementModel.INITIAL));
    assertTrue(model.permits(0, write.id));
  }

  @Test
  void inFlushModeFuaIsDurableAtOnce() {
    model = new AcknowledgementModel(SECTORS, Durability.FLUSH, true);
    model.acknowledged(model.sent(0, 0, 1, true));
    assertFalse(model.permits(0, AcknowledgementModel.INITIAL));
  }

  @Test
  void aFlushDoesNotCoverWhatWasAnsweredAfterItWasSent() {
    model = new AcknowledgementModel(SECTORS, Durability.FLUSH, true);
    Write write = model.sent(0, 0, 1, false);
    Flush flush = model.flushSent(0);
    model.acknowledged(write);
    model.acknowledged(flush);
    assertTrue(model.permits(0, AcknowledgementModel.INITIAL));
  }

  @Test
  void withoutMultiConnAFlushCoversItsOwnConnectionAlone() {
    model = new AcknowledgementModel(SECTORS, Durability.FLUSH, false);
    acknowledgedWrite(0, 1);
    model.acknowledged(model.flushSent(1));
    assertTrue(model.permits(0, AcknowledgementModel.INITIAL));
    model.acknowledged(model.flushSent(0));
    assertFalse(model.permits(0, AcknowledgementModel.INITIAL));
  }

  @Test
  void aReadMayFindWhatWasPossibleWhenItWasSentOrCameLater() {
    acknowledgedWrite(0, 1);
    Write before = acknowledgedWrite(0, 1);
    AcknowledgementModel.Read read = model.readSent(0, 1);
    Write later = acknowledgedWrite(0, 1);
    assertFalse(read.permits(0, 1), "it was overwritten and answered before the read was sent");
    assertFalse(read.permits(0, AcknowledgementModel.INITIAL));
    assertFalse(read.permits(0, Stamp.BROKEN));
    assertTrue(read.permits(0, before.id));
    assertTrue(read.permits(0, later.id));
  }

  private Write acknowledgedWrite(int firstSector, int sectors) {
    Write write = model.sent(0, firstSector, sectors, false);
    model.acknowledged(write);
    return write;
  }

  private void apply(Write write) {
    byte[] payload = stamp.payload(write.id, 0, write.firstSector, write.sectors);
    System.arraycopy(payload, 0, device, write.firstSector * Stamp.SECTOR_BYTES, payload.length);
  }

  private void copySector(byte[] from, int sector) {
    int at = sector * Stamp.SECTOR_BYTES;
    System.arraycopy(from, at, device, at, Stamp.SECTOR_BYTES);
  }

  private List<String> readBack() {
    model.serverDied();
    Readback readback = new Readback(model, stamp);
    readback.check(0, device);
    return readback.mistakes();
  }
}
