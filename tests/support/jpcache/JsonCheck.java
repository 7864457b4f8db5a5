package jpcache;

/** Whether a text is one JSON value (RFC 8259) and nothing else. */
public final class JsonCheck {
  private final String text;
  private int at;

  private JsonCheck(String text) {
    this.text = text;
  }

  /**
   * Reads the text to its end.
   *
   * @throws AssertionError where it stops being JSON
   */
  public static void check(String text) {
    JsonCheck check = new JsonCheck(text);
    check.value();
    if (check.peek() != 0) {
      throw check.wrong("something behind the value");
    }
  }

  private void value() {
    switch (peek()) {
      case '{' -> group('}', true);
      case '[' -> group(']', false);
      case '"' -> string();
      case 't' -> word("true");
      case 'f' -> word("false");
      case 'n' -> word("null");
      default -> number();
    }
  }

  private void group(char end, boolean named) {
    at++;
    if (peek() == end) {
      at++;
      return;
    }
    while (true) {
      if (named) {
        if (peek() != '"') {
          throw wrong("a name was expected");
        }
        string();
        word(":");
      }
      value();
      if (peek() == end) {
        at++;
        return;
      }
      word(",");
    }
  }

  private void string() {
    at++;
    while (at < text.length() && text.charAt(at) != '"') {
      char c = text.charAt(at++);
      if (c < 0x20) {
        throw wrong("a control character in a string");
      }
      if (c == '\\') {
        escape();
      }
    }
    word("\"");
  }

  private void escape() {
    char c = at < text.length() ? text.charAt(at++) : 0;
    if (c == 'u') {
      if (!text.regionMatches(at, text, at, 4)
          || !text.substring(at, at + 4).matches("[\\da-fA-F]+")) {
        throw wrong("four hexadecimal digits were expected");
      }
      at += 4;
    } else if ("\"\\/bfnrt".indexOf(c) < 0) {
      throw wrong("no such escape");
    }
  }

  private void number() {
    int from = at;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
    if (!text.substring(from, at).matches("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][-+]?\\d+)?")) {
      throw wrong("a value was expected");
    }
  }

  private void word(String word) {
    peek();
    if (!text.startsWith(word, at)) {
      throw wrong(word + " was expected");
    }
    at += word.length();
  }

  /** The next character behind white space; 0 at the end. */
  private char peek() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
    return at < text.length() ? text.charAt(at) : 0;
  }

  private AssertionError wrong(String what) {
    String near = text.substring(Math.max(0, at - 40), Math.min(text.length(), at + 40));
    return new AssertionError(what + " at character " + at + ", near: " + near);
  }
}
