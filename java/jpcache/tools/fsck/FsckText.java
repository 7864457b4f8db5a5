package jpcache.tools.fsck;

import java.io.PrintWriter;

/** A check for people: one line for each phase, then one for each of its findings. */
public final class FsckText {
  private final PrintWriter out;

  public FsckText(PrintWriter out) {
    this.out = out;
  }

  /** A phase that has ended. */
  public void phase(Phase phase) {
    out.printf("phase %d, %s: %s%n", phase.number(), phase.title(), phase.summary());
    for (Finding finding : phase.findings()) {
      out.println("  " + finding);
    }
    if (phase.untold() > 0) {
      out.println("  and " + phase.untold() + " more");
    }
    out.flush();
  }

  /** So many findings have been repaired. */
  public void repaired(int findings) {
    out.printf("repaired %s; checking again%n", counted(findings, "finding"));
  }

  /** The last line. */
  public void verdict(String cache, FsckReport report) {
    String problems = report.problems() == 0 ? "clean" : counted(report.problems(), "problem");
    String notices = report.notices() == 0 ? "" : ", " + counted(report.notices(), "notice");
    out.println(cache + ": " + problems + notices);
  }

  private static String counted(long n, String what) {
    return n + " " + what + (n == 1 ? "" : "s");
  }
}
