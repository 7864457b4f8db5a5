package jpcache.process;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Compares a device that was read whole, after its server died, with what the model permits.
 *
 * <p>Not thread-safe; the model must be quiet.
 */
final class Readback {
  private static final int MAX_MISTAKES = 10;

  private final AcknowledgementModel model;
  private final Stamp stamp;
  private final List<String> mistakes = new ArrayList<>();
  private int wrongSectors;

  Readback(AcknowledgementModel model, Stamp stamp) {
    this.model = model;
    this.stamp = stamp;
  }

  /**
   * Checks whole sectors that were read from {@code firstSector} on, and settles the right ones.
   */
  void check(int firstSector, byte[] data) {
    ByteBuffer bytes = ByteBuffer.wrap(data);
    for (int at = 0; at < data.length; at += Stamp.SECTOR_BYTES) {
      int sector = firstSector + at / Stamp.SECTOR_BYTES;
      long id = stamp.read(bytes, at, sector);
      if (id == Stamp.BROKEN) {
        mistake(sector, stamp.describe(bytes, at, sector));
      } else if (!model.permits(sector, id)) {
        mistake(sector, "write " + id);
      } else {
        model.settle(sector, id);
      }
    }
  }

  /** The first mistakes, and how many sectors were wrong; empty if none was. */
  List<String> mistakes() {
    List<String> all = new ArrayList<>(mistakes);
    if (wrongSectors > 0) {
      all.add(wrongSectors + " of " + model.sectors() + " sectors are wrong");
    }
    return all;
  }

  private void mistake(int sector, String found) {
    wrongSectors++;
    if (mistakes.size() < MAX_MISTAKES) {
      mistakes.add(
          "sector " + sector + " holds " + found + ", may hold writes " + model.expected(sector));
    }
  }
}
