package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.List;
import jpcache.backing.BackingDevice;

/** What {@code jpcache fsck} holds against media: the rules that they must keep at all times. */
public final class Problems {
  private Problems() {}

  /** Every problem, as its user would read it; empty for sound media. */
  public static List<String> of(String cache, MemorySegment view, BackingDevice backing) {
    return in(new Fsck(cache, view, backing, false, phase -> {}).run());
  }

  /** Those of a report. */
  public static List<String> in(FsckReport report) {
    return report.phases().stream()
        .flatMap(phase -> phase.findings().stream())
        .filter(finding -> finding.severity() == Finding.Severity.PROBLEM)
        .map(Finding::toString)
        .toList();
  }
}
