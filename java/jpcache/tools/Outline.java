package jpcache.tools;

import java.util.List;

/**
 * Named values in groups and lists, shown one way for people and one for programs. Streamed: a list
 * may have millions of entries.
 */
public interface Outline {
  /** Opens a group; in a list it is the next entry and its name only says what it is. */
  void begin(String name);

  void end();

  /** Opens a list, whose entries are groups. */
  void beginList(String name);

  void endList();

  void value(String name, long number);

  void value(String name, boolean truth);

  void value(String name, String text);

  /** Bits: people see them in hexadecimal, programs as a number. */
  void bits(String name, int bits);

  /** A switch: people see {@code on} or {@code off}, programs a truth value. */
  void onOff(String name, boolean on);

  /** Several texts without spaces in them: people see them with spaces between, programs a list. */
  void words(String name, List<String> words);
}
