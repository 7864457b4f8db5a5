package jpcache.base;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes as users write and read them: 512M, 1G, 1GiB, 4096. All units are powers of 1024. */
public final class Sizes {
  private static final Pattern SIZE = Pattern.compile("(\\d{1,19})\\s*(?:([KMGTP])(?:i?B)?|B)?");
  private static final String UNITS = "KMGTP";

  private Sizes() {}

  /**
   * The bytes that a text such as {@code 1GiB} names.
   *
   * @throws UserException if it names none, or more than a long holds
   */
  public static long parse(String text) {
    Matcher m = SIZE.matcher(text.strip().replace("ib", "iB"));
    if (!m.matches()) {
      throw new UserException("size " + text + ": not a size; write 512M, 1G or 1GiB");
    }
    String unit = m.group(2);
    int shift = unit == null ? 0 : 10 * (UNITS.indexOf(unit) + 1);
    try {
      return Math.multiplyExact(Long.parseLong(m.group(1)), 1L << shift);
    } catch (ArithmeticException | NumberFormatException e) {
      throw new UserException("size " + text + ": too large", e);
    }
  }

  /** The largest unit that shows the size without a fraction: 512 MiB, 1 GiB, 4097 bytes. */
  public static String format(long bytes) {
    int unit = 0;
    long n = bytes;
    while (n != 0 && n % 1024 == 0 && unit < UNITS.length()) {
      n /= 1024;
      unit++;
    }
    return unit == 0
        ? n + " bytes"
        : String.format(Locale.ROOT, "%d %ciB", n, UNITS.charAt(unit - 1));
  }
}
