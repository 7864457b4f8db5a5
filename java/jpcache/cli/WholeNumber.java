package jpcache.cli;

import jpcache.base.UserException;

/** A whole number between two others: {@code Percent() { super(0, 100); }}. */
abstract class WholeNumber extends CheckedValue<Integer> {
  private final int least;
  private final int most;

  WholeNumber(int least, int most) {
    this.least = least;
    this.most = most;
  }

  @Override
  final Integer parse(String text) {
    int value;
    try {
      value = Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw wrong(text);
    }
    if (value < least || value > most) {
      throw wrong(text);
    }
    return value;
  }

  private UserException wrong(String text) {
    String range = most == Integer.MAX_VALUE ? least + " or more" : least + " to " + most;
    return new UserException(text + ": not a whole number, " + range);
  }
}
