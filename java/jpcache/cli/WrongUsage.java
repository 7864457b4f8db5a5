package jpcache.cli;

import jpcache.base.UserException;

/** Options that are wrong by themselves, whatever the devices: exit code 2 on a command line. */
final class WrongUsage extends UserException {
  WrongUsage(String message) {
    super(message);
  }
}
