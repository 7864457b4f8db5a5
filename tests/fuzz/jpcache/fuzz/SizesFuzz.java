package jpcache.fuzz;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import jpcache.base.Sizes;

/** Sizes as users write them: refused, or a number that is shown as a size of that number. */
final class SizesFuzz implements FuzzTarget {
  @Override
  public void accept(byte[] input) {
    String text = new String(input, StandardCharsets.UTF_8).replace('\n', ' ');
    Judge.refuses(() -> {
      long bytes = Sizes.parse(text);
      if (bytes < 0) {
        throw new AssertionError(text + " is " + bytes);
      }
      String shown = Sizes.format(bytes).replace(" bytes", "");
      if (Sizes.parse(shown) != bytes) {
        throw new AssertionError(text + " is " + bytes + ", shown as " + shown);
      }
    });
  }

  @Override
  public List<byte[]> seeds() {
    return Stream.of("512M", "1GiB", " 16 TB ", "4096", "9223372036854775807", "8P", "1 B", "-1")
        .map(text -> text.getBytes(StandardCharsets.UTF_8))
        .toList();
  }
}
