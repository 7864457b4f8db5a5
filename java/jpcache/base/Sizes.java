package jpcache.base;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Sizes as users write and read them: 512M, 1G, 1GiB, 4096. All units are powers of 1024, in any
 * case; MB and its like, which may mean powers of 1000, are refused.
 */
public final class Sizes {
  private static final Pattern SIZE =
      Pattern.compile("(\\d{1,19})\\s*(?:([KMGTP])(i?B?)|B)?", Pattern.CASE_INSENSITIVE);
  private static final Pattern FRACTION =
      Pattern.compile("\\d+[.,]\\d+\\s*[KMGTP]?i?B?", Pattern.CASE_INSENSITIVE);
  private static final String UNITS = "KMGTP";

  private Sizes() {}

  /**
   * The bytes that a text such as {@code 1GiB} names.
   *
   * @throws UserException if it names none, or more than a long holds
   */
  public static long parse(String text) {
    Matcher m = SIZE.matcher(text.strip());
    if (!m.matches()) {
      throw wrong(
          text,
          FRACTION.matcher(text.strip()).matches()
              ? "not a whole number; write it in a smaller unit, such as 1536M"
              : "not a size; write 512M, 1G or 1GiB");
    }
    String number = m.group(1);
    String unit = m.group(2) == null ? "" : m.group(2).toUpperCase(Locale.ROOT);
    if (!unit.isEmpty() && m.group(3).equalsIgnoreCase("B")) {
      throw wrong(
          text,
          String.format(
              "%s may mean powers of 1000; write %s%siB or %2$s%3$s (powers of 1024)",
              m.group(2) + m.group(3), number, unit));
    }
    int shift = unit.isEmpty() ? 0 : 10 * (UNITS.indexOf(unit) + 1);
    try {
      return Math.multiplyExact(Long.parseLong(number), 1L << shift);
    } catch (ArithmeticException | NumberFormatException e) {
      throw new UserException("size " + text + ": too large", e);
    }
  }

  private static UserException wrong(String text, String what) {
    return new UserException("size " + text + ": " + what);
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
