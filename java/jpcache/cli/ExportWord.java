package jpcache.cli;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import jpcache.base.UserException;

/**
 * How an export is named in a request on the control socket: {@code export=NAME}, or {@code
 * cache=PATH} by the real path of its cache; the name as in a URL's query, since a request is words
 * with spaces between them.
 */
final class ExportWord {
  static final String PREFIX = "export=";
  static final String CACHE_PREFIX = "cache=";

  private ExportWord() {}

  static String of(String name) {
    return PREFIX + URLEncoder.encode(name, StandardCharsets.UTF_8);
  }

  static String ofCache(String realPath) {
    return CACHE_PREFIX + URLEncoder.encode(realPath, StandardCharsets.UTF_8);
  }

  /** The name or path in a word that begins with one of the prefixes. */
  static String name(String word) {
    try {
      return URLDecoder.decode(word.substring(word.indexOf('=') + 1), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new UserException(word + ": not a name as in a URL", e);
    }
  }
}
