package jpcache.fuzz;

import java.lang.management.ManagementFactory;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/**
 * The native memory of this process's Java code: that of arenas and {@code Unsafe}, as the JVM
 * counts it with {@code -XX:NativeMemoryTracking=summary}. Mapped files are not among it.
 *
 * @param nowKib what is held now; 0 if the JVM does not count
 * @param peakKib the most that has ever been held
 */
record NativeMemoryUse(long nowKib, long peakKib) {
  /** The JVM's name for what Java code asks of malloc; "at peak" if it has never been more. */
  private static final Pattern OTHER =
      Pattern.compile(
          "Other \\(reserved=(\\d+)KB[^\\n]*\\n[^\\n]*\\((?:peak=(\\d+)KB #\\d+|at peak)\\)");

  static NativeMemoryUse look() {
    Matcher other = OTHER.matcher(summary());
    if (!other.find()) {
      return new NativeMemoryUse(0, 0);
    }
    long now = Long.parseLong(other.group(1));
    return new NativeMemoryUse(now, other.group(2) == null ? now : Long.parseLong(other.group(2)));
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
