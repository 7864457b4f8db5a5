package jpcache.tools.fsck;

import java.util.List;
import java.util.function.Consumer;
import jpcache.media.MetadataWriter;
import jpcache.media.SegmentList;
import jpcache.pmem.PmemRegion;
import jpcache.tools.Outline;
import org.jspecify.annotations.Nullable;

/**
 * What a check found.
 *
 * @param phases those that were run, in order
 * @param segments the cache's segments, or null if they could not be read; nothing is repaired then
 */
public record FsckReport(List<Phase> phases, @Nullable SegmentList segments) {
  public long problems() {
    return phases.stream().mapToLong(Phase::problems).sum();
  }

  public long notices() {
    return phases.stream().mapToLong(Phase::notices).sum();
  }

  /**
   * Repairs, in the order of the findings, what can be. Each repair is durable when the next one
   * begins, and each by itself leaves media that are no worse: it may be cut off and run again.
   *
   * @return how many findings were repaired
   */
  public int repair(PmemRegion region) {
    if (segments == null) {
      return 0;
    }
    MetadataWriter writer = new MetadataWriter(region, segments);
    int repaired = 0;
    for (Phase phase : phases) {
      for (Finding finding : phase.findings()) {
        Consumer<MetadataWriter> repair = finding.repair();
        if (repair != null) {
          repair.accept(writer);
          repaired++;
        }
      }
    }
    return repaired;
  }

  /** Writes the report as an entry of a list. */
  public void outline(Outline out) {
    out.begin("check");
    out.beginList("phases");
    for (Phase phase : phases) {
      out.begin("phase");
      out.value("number", phase.number());
      out.value("title", phase.title());
      out.value("summary", phase.summary());
      out.value("untold", phase.untold());
      out.beginList("findings");
      for (Finding finding : phase.findings()) {
        out.begin("finding");
        out.value("severity", finding.severity().toString());
        out.value("field", finding.field());
        out.value("offset", finding.offsetBytes());
        out.value("value", finding.value());
        out.value("wrong", finding.wrong());
        out.value("remedy", finding.remedy());
        out.value("repairable", finding.repair() != null);
        out.end();
      }
      out.endList();
      out.end();
    }
    out.endList();
    out.end();
  }
}
