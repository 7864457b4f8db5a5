package jpcache.tools.fsck;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A phase of the check: what it looked at and what it found. Of its findings the first {@value
 * #KEPT} without a repair are kept, so that a broken cache of any size is told in bounded memory;
 * the others are counted.
 */
public final class Phase {
  static final int KEPT = 50;

  private final int number;
  private final String title;
  private final List<Finding> findings = new ArrayList<>();
  private String summary = "";
  private int keptWithoutRepair;
  private long problems;
  private long notices;

  Phase(int number, String title) {
    this.number = number;
    this.title = title;
  }

  void add(Finding finding) {
    if (finding.severity() == Finding.Severity.PROBLEM) {
      problems++;
    } else {
      notices++;
    }
    if (finding.repair() != null || keptWithoutRepair++ < KEPT) {
      findings.add(finding);
    }
  }

  void summary(String text) {
    summary = text;
  }

  public int number() {
    return number;
  }

  public String title() {
    return title;
  }

  /** What was looked at, in a few words. */
  public String summary() {
    return summary;
  }

  /** The findings that were kept, in the order of the media. */
  public List<Finding> findings() {
    return Collections.unmodifiableList(findings);
  }

  public long problems() {
    return problems;
  }

  public long notices() {
    return notices;
  }

  /** How many findings were counted alone. */
  public long untold() {
    return problems + notices - findings.size();
  }
}
