package jpcache.base;

/** Text from outside, made fit for a terminal and for a line of a log. */
public final class Printable {
  /** A character that ends a line, moves a terminal's cursor, or turns a script's direction. */
  public static final String UNFIT = "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]";

  private Printable() {}

  /** The text in one line; a space stands for what is unfit. */
  public static String oneLine(String text) {
    return text.replaceAll(UNFIT + "+", " ");
  }
}
