package jpcache.nbd;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** The data of an option, read from its begin to its end. */
final class OptionData {
  /** What the data says makes no sense; the message is for the client. */
  static final class Malformed extends Exception {
    private static final long serialVersionUID = 1;

    Malformed(String message) {
      super(message, null, false, false);
    }
  }

  private final ByteBuffer data;

  OptionData(ByteBuffer data) {
    this.data = data;
  }

  int u16() throws Malformed {
    need(Short.BYTES);
    return data.getShort() & 0xFFFF;
  }

  /** A number of 32 bits that counts what follows; each takes some bytes. */
  int count(int leastBytesEach) throws Malformed {
    need(Integer.BYTES);
    int count = data.getInt();
    if (count < 0 || count > data.remaining() / leastBytesEach) {
      throw new Malformed("the option's lengths contradict one another");
    }
    return count;
  }

  /** A text behind its length of 32 bits. */
  String text() throws Malformed {
    int bytes = count(1);
    String text = decode(data.slice(data.position(), bytes));
    data.position(data.position() + bytes);
    return text;
  }

  /** All that is left is a text. */
  String rest() throws Malformed {
    return decode(data);
  }

  void end() throws Malformed {
    if (data.hasRemaining()) {
      throw new Malformed("the option has more data than belongs to it");
    }
  }

  private void need(int bytes) throws Malformed {
    if (data.remaining() < bytes) {
      throw new Malformed("the option's data ends too early");
    }
  }

  private static String decode(ByteBuffer utf8) throws Malformed {
    if (utf8.remaining() <= NbdProtocol.MAX_STRING_BYTES) {
      try {
        String text = StandardCharsets.UTF_8.newDecoder().decode(utf8).toString();
        if (text.indexOf('\0') < 0) {
          return text;
        }
      } catch (CharacterCodingException e) {
        // as if it were too long
      }
    }
    throw new Malformed("a name is not at most 4096 bytes of UTF-8 without NUL");
  }
}
