package jpcache.tools.fsck;

import java.util.function.Consumer;
import jpcache.media.MediaException;
import jpcache.media.MetadataWriter;
import org.jspecify.annotations.Nullable;

/**
 * One thing that the check found.
 *
 * @param field the field as format descriptions call it: {@code key.len}
 * @param offsetBytes where on the device its structure is
 * @param value what it says
 * @param wrong what is wrong with that
 * @param remedy what {@code --repair} does about it, or what else can be done
 * @param repair does it; null if nothing is safe to do
 */
public record Finding(
    Severity severity,
    String field,
    long offsetBytes,
    String value,
    String wrong,
    String remedy,
    @Nullable Consumer<MetadataWriter> repair) {
  /** Whether it matters. */
  public enum Severity {
    /** A sound cache may be like this, after a power cut for example. */
    NOTICE("notice"),
    /** No sound cache is like this. */
    PROBLEM("problem");

    private final String text;

    Severity(String text) {
      this.text = text;
    }

    @Override
    public String toString() {
      return text;
    }
  }

  static final String NO_REPAIR = "--repair leaves it";

  /** A fault that nothing is done about. */
  static Finding problem(String field, long offsetBytes, String value, String wrong) {
    return new Finding(Severity.PROBLEM, field, offsetBytes, value, wrong, NO_REPAIR, null);
  }

  /** What a reader refuses to believe. */
  static Finding problem(MediaException e) {
    return problem(e.field(), e.offsetBytes(), e.value(), e.why());
  }

  /** The same, with a remedy. */
  Finding repairedBy(String how, Consumer<MetadataWriter> deed) {
    return new Finding(severity, field, offsetBytes, value, wrong, "--repair " + how, deed);
  }

  /** The same without its repair, and why. */
  Finding left(String why) {
    return new Finding(severity, field, offsetBytes, value, wrong, why, null);
  }

  /** The same, which a sound cache may have. */
  Finding asNotice() {
    return new Finding(Severity.NOTICE, field, offsetBytes, value, wrong, remedy, repair);
  }

  /** The same, with other advice. */
  Finding advising(String advice) {
    return new Finding(severity, field, offsetBytes, value, wrong, advice, repair);
  }

  @Override
  public String toString() {
    return severity
        + ": "
        + field
        + " at byte "
        + offsetBytes
        + ": "
        + value
        + ": "
        + wrong
        + "; "
        + remedy;
  }
}
