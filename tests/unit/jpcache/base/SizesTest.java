package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {
  @ParameterizedTest
  @ValueSource(
      strings = {"512M", "512m", "512Mi", "512mi", "512MiB", "512mib", "512MIB", "512 MiB"})
  void aUnitIsAPowerOf1024InAnyCase(String text) {
    assertEquals(512L << 20, Sizes.parse(text));
  }

  @ParameterizedTest
  @CsvSource({"7, 0", "7B, 0", "7k, 10", "7Ki, 10", "7g, 30", "7TiB, 40", "7p, 50"})
  void everyUnitIsKnown(String text, int shift) {
    assertEquals(7L << shift, Sizes.parse(text));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "600MB | size 600MB: MB may mean powers of 1000; write 600MiB or 600M (powers of 1024)",
        "1gb | size 1gb: gb may mean powers of 1000; write 1GiB or 1G (powers of 1024)",
        "1.5G | size 1.5G: not a whole number; write it in a smaller unit, such as 1536M",
        "12X | size 12X: not a size; write 512M, 1G or 1GiB",
        "-1 | size -1: not a size; write 512M, 1G or 1GiB",
        "9999999P | size 9999999P: too large",
      })
  void whatIsNoSizeIsToldWithTheReason(String text, String message) {
    UserException e = assertThrows(UserException.class, () -> Sizes.parse(text));
    assertEquals(message, e.getMessage());
  }
}
