package jpcache.backing;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/** Logs what was thrown where it must not end the thread: a caller's mistake, or want of memory. */
final class Mishaps {
  private static final Logger LOG = System.getLogger(Mishaps.class.getName());

  private Mishaps() {}

  /** Throws nothing: others wait to be told behind the one who threw. */
  static void log(String where, String what, Throwable thrown) {
    try {
      LOG.log(Level.ERROR, where + ": " + what, thrown);
    } catch (Throwable e) {
      // Where memory is wanting, it may be wanting to tell that.
    }
  }
}
