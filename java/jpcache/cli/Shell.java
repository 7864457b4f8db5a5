package jpcache.cli;

import java.nio.file.Path;

/** Commands in messages, written so that they work when they are pasted into a shell. */
final class Shell {
  private Shell() {}

  /** An option with a path, which means the same wherever the command is run. */
  static String option(String name, Path path) {
    return name + " " + word(path.toAbsolutePath().toString());
  }

  /** One word, quoted where it has to be. */
  static String word(String text) {
    return text.matches("[\\w@%+=:,./-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }
}
