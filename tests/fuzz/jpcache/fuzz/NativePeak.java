package jpcache.fuzz;

import java.lang.management.ManagementFactory;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * The most native memory that Java code of this process has ever held at once: that of arenas and
 * {@code Unsafe}, as the JVM counts it with {@code -XX:NativeMemoryTracking=summary}. Mapped files
 * are not among it.
 */
final class NativePeak {
  /** The JVM's name for what Java code asks of malloc. */
  private static final Pattern PEAK =
      Pattern.compile("Other \\(reserved[^\\n]*\\n[^\\n]*\\((?:peak=(\\d+)KB #\\d+|at peak)\\)");

  private static final Pattern AT_PEAK = Pattern.compile("Other \\(reserved=(\\d+)KB");

  private NativePeak() {}

  /** In KiB; 0 if the JVM does not count. */
  static long kib() {
    String summary = summary();
    Matcher peak = PEAK.matcher(summary);
    Matcher now = AT_PEAK.matcher(summary);
    if (!now.find()) {
      return 0;
    }
    if (!peak.find()) {
      throw new AssertionError("not as the JVM wrote it once: " + summary);
    }
    return Long.parseLong(peak.group(1) == null ? now.group(1) : peak.group(1));
  }

  private static String summary() {
    MBeanServer beans = ManagementFactory.getPlatformMBeanServer();
    Object[] arguments = {new String[] {"summary", "scale=KB"}};
    String[] types = {String[].class.getName()};
    try {
      ObjectName commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
      return (String) beans.invoke(commands, "vmNativeMemory", arguments, types);
    } catch (JMException e) {
      throw new IllegalStateException(e);
    }
  }
}
