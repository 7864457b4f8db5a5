package jpcache.tools;

import java.io.PrintWriter;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** An outline as one JSON object, with its members on lines of their own or all on one. */
public final class JsonOutline implements Outline {
  private final PrintWriter out;

  /** For each open group or list whether it is a list. */
  private final Deque<Boolean> open = new ArrayDeque<>();

  private final String separator;
  private boolean first = true;

  public JsonOutline(PrintWriter out) {
    this(out, ",\n");
  }

  private JsonOutline(PrintWriter out, String separator) {
    this.out = out;
    this.separator = separator;
  }

  /** One whose object is a line: a stream of such can be read while it goes on. */
  public static JsonOutline line(PrintWriter out) {
    return new JsonOutline(out, ", ");
  }

  @Override
  public void begin(String name) {
    open(name, false, '{');
  }

  @Override
  public void end() {
    close('}');
  }

  @Override
  public void beginList(String name) {
    open(name, true, '[');
  }

  @Override
  public void endList() {
    close(']');
  }

  @Override
  public void value(String name, long number) {
    separate(name);
    out.print(number);
  }

  @Override
  public void value(String name, boolean truth) {
    separate(name);
    out.print(truth);
  }

  @Override
  public void value(String name, String text) {
    separate(name);
    quote(text);
  }

  @Override
  public void bits(String name, int bits) {
    value(name, Integer.toUnsignedLong(bits));
  }

  @Override
  public void onOff(String name, boolean on) {
    value(name, on);
  }

  @Override
  public void words(String name, List<String> words) {
    separate(name);
    out.print('[');
    for (int i = 0; i < words.size(); i++) {
      out.print(i == 0 ? "" : ", ");
      quote(words.get(i));
    }
    out.print(']');
  }

  private void open(String name, boolean list, char bracket) {
    separate(name);
    out.print(bracket);
    open.push(list);
    first = true;
  }

  private void close(char bracket) {
    out.print(bracket);
    open.pop();
    first = false;
    if (open.isEmpty()) {
      out.println();
    }
  }

  private void separate(String name) {
    if (!first) {
      out.print(separator);
    }
    first = false;
    Boolean list = open.peek();
    if (list != null && !list) {
      quote(name);
      out.print(": ");
    }
  }

  private void quote(String text) {
    out.print('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        out.print('\\');
        out.print(c);
      } else if (c < 0x20) {
        out.printf("\\u%04x", (int) c);
      } else {
        out.print(c);
      }
    }
    out.print('"');
  }
}
