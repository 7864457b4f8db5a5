package jpcache.tls;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * Pre-shared keys by the names of their users, as GnuTLS's psktool writes them: lines of {@code
 * NAME:HEXKEY}. Empty lines and lines that begin with # are comments.
 */
final class PskFile {
  /** Shorter ones could be guessed from what is seen on the wire. */
  static final int MIN_KEY_BYTES = 16;

  /** The most that a ClientHello can name (opaque identity). */
  private static final int MAX_NAME_BYTES = 0xFFFF;

  private final Path file;
  private final Map<String, byte[]> keys = new HashMap<>();

  /**
   * Reads the file.
   *
   * @throws UserException if there is none, or a line is wrong; keys are never part of the message
   */
  PskFile(Path file) {
    this.file = file;
    String text = new String(PemFiles.bytes(file), StandardCharsets.UTF_8);
    int number = 0;
    for (String line : text.lines().toList()) {
      number++;
      if (!line.isBlank() && !line.startsWith("#")) {
        add(number, line.strip());
      }
    }
    if (keys.isEmpty()) {
      throw new UserException(PemFiles.message(file, "there is no NAME:HEXKEY in it"));
    }
  }

  private void add(int number, String line) {
    int colon = line.lastIndexOf(':');
    if (colon <= 0 || line.getBytes(StandardCharsets.UTF_8).length > MAX_NAME_BYTES) {
      throw wrong(number, "not NAME:HEXKEY");
    }
    byte[] key;
    try {
      key = HexFormat.of().parseHex(line, colon + 1, line.length());
    } catch (IllegalArgumentException e) {
      throw wrong(number, "the key is not hexadecimal, two digits a byte");
    }
    if (key.length < MIN_KEY_BYTES) {
      throw wrong(number, "the key has " + key.length + " bytes; it must have " + MIN_KEY_BYTES);
    }
    if (keys.putIfAbsent(line.substring(0, colon), key) != null) {
      throw wrong(number, line.substring(0, colon) + " has a key already");
    }
  }

  private UserException wrong(int number, String what) {
    return new UserException(PemFiles.message(file, "line " + number + ": " + what));
  }

  /** Where the keys were read from. */
  Path file() {
    return file;
  }

  /** The key of a user, if there is one. */
  byte @Nullable [] find(byte[] name) {
    return keys.get(new String(name, StandardCharsets.UTF_8));
  }
}
