package jpcache.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import jpcache.base.UserException;

/** A file or device as the user names it. */
final class DevicePath extends CheckedValue<String> {
  @Override
  String parse(String text) {
    if (text.isEmpty()) {
      throw new UserException("the path is empty; name a file or a device");
    }
    return text;
  }

  /** Refuses one file as both: each would destroy the other. */
  static void requireTwo(String cache, String backing) {
    boolean same;
    try {
      same = Files.isSameFile(Path.of(cache).toRealPath(), Path.of(backing));
    } catch (IOException | InvalidPathException e) {
      return; // who opens them will say what is the matter
    }
    if (same) {
      throw new WrongUsage("cache and backing are the same file: " + cache);
    }
  }
}
