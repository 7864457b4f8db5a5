package jpcache.tools;

import java.io.PrintWriter;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** An outline as indented lines; an entry of a list is one line, so that it can be searched for. */
public final class TextOutline implements Outline {
  private enum Level {
    GROUP,
    LIST,
    ENTRY
  }

  private final PrintWriter out;
  private final Deque<Level> open = new ArrayDeque<>();

  /** An entry's line has been begun and not ended. */
  private boolean inLine;

  public TextOutline(PrintWriter out) {
    this.out = out;
  }

  @Override
  public void begin(String name) {
    indent();
    out.print(name);
    if (open.peek() == Level.LIST) {
      inLine = true;
      open.push(Level.ENTRY);
    } else {
      out.println();
      open.push(Level.GROUP);
    }
  }

  @Override
  public void end() {
    endLine();
    open.pop();
  }

  @Override
  public void beginList(String name) {
    if (inLine) {
      endLine(); // the entry's own line is heading enough
    } else {
      indent();
      out.println(name);
    }
    open.push(Level.LIST);
  }

  @Override
  public void endList() {
    open.pop();
  }

  @Override
  public void value(String name, long number) {
    value(name, Long.toString(number));
  }

  @Override
  public void value(String name, boolean truth) {
    value(name, truth ? "yes" : "no");
  }

  @Override
  public void value(String name, String text) {
    if (inLine) {
      out.print(" " + name + " " + text);
    } else {
      indent();
      out.println(name + ": " + text);
    }
  }

  @Override
  public void bits(String name, int bits) {
    value(name, "0x" + Integer.toHexString(bits));
  }

  @Override
  public void onOff(String name, boolean on) {
    value(name, on ? "on" : "off");
  }

  @Override
  public void words(String name, List<String> words) {
    value(name, String.join(" ", words));
  }

  private void endLine() {
    if (inLine) {
      out.println();
      inLine = false;
    }
  }

  private void indent() {
    out.print("  ".repeat(open.size()));
  }
}
