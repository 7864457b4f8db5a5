package jpcache.cli;

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
}
