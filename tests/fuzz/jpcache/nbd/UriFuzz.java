package jpcache.nbd;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import jpcache.fuzz.FuzzTarget;
import jpcache.fuzz.Judge;

/** NBD addresses: refused, or understood so that what is shown means the same. */
public final class UriFuzz implements FuzzTarget {
  @Override
  public void accept(byte[] input) {
    String text = new String(input, StandardCharsets.UTF_8).replace('\n', ' ');
    Judge.refuses(() -> {
      NbdUri uri = NbdUri.parse(text);
      NbdUri again = NbdUri.parse(uri.toString());
      if (!again.equals(uri)) {
        throw new AssertionError(text + " is " + uri + ", which is " + again);
      }
    });
  }

  @Override
  public List<byte[]> seeds() {
    return Stream.of(
            "nbd://localhost",
            "nbd://127.0.0.1:10809/name",
            "nbd://[::1]:0/a%20b",
            "nbd+unix:///name?socket=/run/x.sock",
            "nbd+unix:///?socket=%2Ftmp%2F%C3%BC",
            "nbds://host/",
            "nbd:opaque",
            "nbd://u@h:1/#f")
        .map(text -> text.getBytes(StandardCharsets.UTF_8))
        .toList();
  }
}
