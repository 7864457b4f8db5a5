package jpcache.cli;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import jpcache.base.UserException;

/**
 * How an export is named in a request on the control socket: {@code export=NAME}, the name as in a
 * URL's query, since a request is words with spaces between them.
 */
final class ExportWord {
  static final String PREFIX = "export=";

  private ExportWord() {}

  static String of(String name) {
    return PREFIX + URLEncoder.encode(name, StandardCharsets.UTF_8);
  }

  /** The name in a word that begins with {@link #PREFIX}. */
  static String name(String word) {
    try {
      return URLDecoder.decode(word.substring(PREFIX.length()), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new UserException(word + ": not a name as in a URL", e);
    }
  }
}
