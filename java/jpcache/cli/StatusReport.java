package jpcache.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.KernelStatus;
import jpcache.tools.Outline;

/**
 * What a server says of itself: names and values, in the order in which they are shown. On the
 * control socket each is a line, the name and the value with a space between them.
 */
record StatusReport(Map<String, String> values) {
  static final String LISTEN = "listen";
  private static final Set<String> SWITCHES = Set.of("data_crc", "read_only");

  private static final Set<String> BITS = Set.of("sb_flags", "cache_flags");

  /** What may look like a number. */
  private static final Set<String> TEXTS = Set.of("export", "cache", "backing");

  /** What the kernel would say, as its line and by name. */
  static void addKernelStatus(Map<String, String> values, KernelStatus status) {
    CacheInfo info = status.info();
    values.put("kernel_status", status.line());
    values.put("sb_flags", hex(status.superblock().flags()));
    values.put("seg_total", Integer.toString(status.superblock().segments()));
    values.put("cache_segs", Integer.toString(info.segments()));
    values.put("segs_used", Integer.toString(status.segmentsUsed()));
    values.put("gc_percent", Integer.toString(info.gcPercent()));
    values.put("cache_flags", hex(info.flags()));
    values.put("key_head", status.keyHead().toString());
    values.put("dirty_tail", status.dirtyTail().toString());
    values.put("key_tail", status.keyTail().toString());
    values.put("mode", info.mode().toString());
    values.put("data_crc", info.dataCrc() ? "on" : "off");
  }

  private static String hex(int value) {
    return String.format(Locale.ROOT, "0x%x", value);
  }

  List<String> lines() {
    List<String> lines = new ArrayList<>();
    values.forEach((name, value) -> lines.add(name + " " + value));
    return lines;
  }

  static StatusReport ofLines(List<String> lines) {
    Map<String, String> values = new LinkedHashMap<>();
    for (String line : lines) {
      int space = line.indexOf(' ');
      if (space <= 0) {
        throw new UserException("the server's status has a line that is none: " + line);
      }
      values.put(line.substring(0, space), line.substring(space + 1));
    }
    return new StatusReport(values);
  }

  /** A number; 0 if there is none of that name. */
  long number(String name) {
    String value = values.getOrDefault(name, "0");
    return isNumber(value) ? Long.parseLong(value) : 0;
  }

  String text(String name) {
    return values.getOrDefault(name, "");
  }

  private static boolean isNumber(String value) {
    return value.matches("-?\\d{1,18}");
  }

  /** Shows all of it, with the types that make a difference to programs. */
  void show(Outline out) {
    out.begin("status");
    values.forEach((name, value) -> {
      if (name.equals(LISTEN)) {
        out.words(name, value.isEmpty() ? List.of() : List.of(value.split(" ", -1)));
      } else if (SWITCHES.contains(name)) {
        out.onOff(name, value.equals("on"));
      } else if (BITS.contains(name) && value.matches("0x[0-9a-f]{1,8}")) {
        out.bits(name, Integer.parseUnsignedInt(value.substring(2), 16));
      } else if (isNumber(value) && !TEXTS.contains(name)) {
        out.value(name, Long.parseLong(value));
      } else {
        out.value(name, value);
      }
    });
    out.end();
  }
}
