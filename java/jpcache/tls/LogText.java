package jpcache.tls;

import jpcache.base.Printable;

/** What a client says, made fit for a line of the log: it may say anything, at any length. */
final class LogText {
  private static final int MAX_NAME = 64;
  private static final int MAX_REASON = 512;

  private LogText() {}

  /** Of who it is. */
  static String name(String text) {
    return shown(text, MAX_NAME);
  }

  /** Of what went wrong with it. */
  static String reason(String text) {
    return shown(text, MAX_REASON);
  }

  /** Without what moves a terminal's cursor, ends a line, or turns the direction of a script. */
  private static String shown(String text, int most) {
    String clean = text.replaceAll(Printable.UNFIT, "?");
    return clean.length() <= most ? clean : clean.substring(0, most) + "...";
  }
}
