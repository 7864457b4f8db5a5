package jpcache.cli;

import jpcache.base.UserException;

/** What is asked for is wrong by itself: exit code 2 on a command line. */
final class WrongUsage extends UserException {
  WrongUsage(String message) {
    super(message);
  }
}
