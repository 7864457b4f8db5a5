package jpcache.cache;

import static jpcache.cache.SectorModel.SECTOR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Memory that cannot be read any more: an error of the request that meets it. */
class PoisonTest {
  private static final int PAGE_BYTES = 4096;
  private static final int PAGE_SECTORS = PAGE_BYTES / SECTOR;

  private final Computer computer = new Computer(1);

  @AfterEach
  void close() {
    computer.close();
  }

  @Test
  void readsOfOtherDataSucceedAndNothingIsWrittenBackInItsPlace() {
    computer.format(CutSetting.PLAIN);
    computer.put(0, PAGE_SECTORS);
    computer.put(PAGE_SECTORS, PAGE_SECTORS);
    computer.pmem.poison(computer.media().segments().dataOffset(1), PAGE_BYTES);
    assertEquals(Errno.EIO, read(0));
    assertEquals(0, read(PAGE_SECTORS));
    computer.step(20_000);
    assertTrue(computer.cache().maintenance().writeBackErrors() > 0);
    assertEquals(computer.media().keyTail(), computer.media().dirtyTail(), "dirty_tail stays");

    computer.pmem.heal();
    computer.settle();
    computer.stop();
    new Inspection(computer).all();
  }

  @Test
  void aWriteToItFailsAndTheNextTakesAnotherPlace() {
    computer.format(CutSetting.PLAIN);
    computer.put(0, PAGE_SECTORS);
    computer.pmem.poison(computer.media().segments().dataOffset(1) + PAGE_BYTES, PAGE_BYTES);
    assertEquals(Errno.EIO, write(PAGE_SECTORS));
    computer.put(2 * PAGE_SECTORS, PAGE_SECTORS);
    assertEquals(0, read(0));
    assertEquals(0, read(2 * PAGE_SECTORS));
    computer.settle();
    assertEquals(0, computer.cache().maintenance().writeBackErrors());

    computer.pmem.heal();
    computer.stop();
    new Inspection(computer).all();
  }

  /** The write is not in the model: it must have left nothing. */
  private int write(int sector) {
    int[] result = {-1};
    try (BlockQueue queue = computer.cache().openQueue()) {
      queue.write(
          (long) sector * SECTOR,
          PAGE_BYTES,
          computer.scratch.address(),
          false,
          e -> result[0] = e);
      queue.commit();
    }
    return result[0];
  }

  private int read(int sector) {
    int[] result = {-1};
    try (BlockQueue queue = computer.cache().openQueue()) {
      queue.read(
          (long) sector * SECTOR, PAGE_BYTES, computer.scratch.address(), e -> result[0] = e);
    }
    return result[0];
  }
}
