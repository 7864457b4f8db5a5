package jpcache.cache;

import java.util.List;
import jpcache.cache.Computer.Window;
import jpcache.media.CacheMedia;
import jpcache.media.LogReplay;
import jpcache.tools.LogicalView;
import jpcache.tools.fsck.Finding;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import jpcache.tools.rescue.Rescue;

/** Looks at a {@link Computer} whose engine does not run, after whatever has happened to it. */
final class Inspection {
  private static final int RESCUE_BATCH_KSETS = 3;

  private final Computer computer;

  Inspection(Computer computer) {
    this.computer = computer;
  }

  /**
   * All that must be so, whatever happened: fsck knows no problem; cache and backing device
   * together hold what was promised, for an independent reader and for the engine; the backing
   * device alone holds a prefix of the log. From here on what was found is what must stay.
   */
  void all() {
    requireNoProblem();
    CacheMedia media = computer.media();
    LogReplay.Summary log = LogReplay.run(media, computer.backing.sizeBytes(), (kset, key) -> {});
    require(log.dirtyTailOnLog(), "dirty_tail " + media.dirtyTail() + " is off the log");
    require(log.staleKeys() == 0, "stale keys: " + log.staleKeys());
    readView(media);
    computer.lookAtBackingDevice();
    computer.start();
    Computer.WINDOWS.forEach(w -> computer.read(w.first(), w.count()));
    computer.dropEngine();
  }

  private void readView(CacheMedia media) {
    LogicalView view = new LogicalView(media, computer.backing);
    for (Window w : Computer.WINDOWS) {
      Survivors.check(
          computer, view, w.first(), w.count(), computer.scratch, computer.findingsLast());
    }
  }

  private FsckReport fsck() {
    return new Fsck(computer.pmem.name(), computer.pmem.view(), computer.backing, false, p -> {})
        .run();
  }

  private static List<Finding> findings(FsckReport report) {
    return report.phases().stream().flatMap(phase -> phase.findings().stream()).toList();
  }

  private void requireNoProblem() {
    FsckReport report = fsck();
    require(report.problems() == 0, "fsck: " + findings(report));
  }

  /**
   * {@code fsck --repair}: what a power cut has torn is made whole, and nothing is left to find.
   */
  void repair() {
    fsck().repair(computer.pmem);
    computer.power.check();
    require(findings(fsck()).isEmpty(), "fsck after --repair: " + findings(fsck()));
  }

  /** {@code rescue}: afterwards the backing device alone has everything. */
  void rescue() {
    Rescue rescue =
        new Rescue(
            computer.media(),
            computer.backing,
            new Rescue.Options(false, false, RESCUE_BATCH_KSETS),
            notice -> {
              throw new AssertionError(notice);
            },
            (done, of) -> computer.lookAtDirtyTail());
    rescue.run(computer.pmem);
    computer.power.check();
    for (Window window : Computer.WINDOWS) {
      Survivors.checkDeviceAlone(
          computer, computer.backing.durable(), window.first(), window.count());
    }
  }

  private static void require(boolean holds, String claim) {
    if (!holds) {
      throw new AssertionError(claim);
    }
  }
}
