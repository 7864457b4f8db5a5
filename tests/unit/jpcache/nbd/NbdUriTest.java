package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import jpcache.Seeds;
import jpcache.base.UserException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class NbdUriTest {
  @ParameterizedTest
  @CsvSource({
    "nbd://example.com/disk, example.com, 10809, disk",
    "nbd://example.com, example.com, 10809, ''",
    "nbd://example.com/, example.com, 10809, ''",
    "nbd://example.com//disk, example.com, 10809, /disk",
    "nbd://example.com/hello%20world, example.com, 10809, hello world",
    "nbd://127.0.0.1:0/a/b, 127.0.0.1, 0, a/b",
    "nbd://[::1]:10810/x, ::1, 10810, x",
    "nbd://[fe80::1]/, fe80::1, 10809, ''",
    "nbd:///name, 127.0.0.1, 10809, name",
    "NBD://localhost:65535/%C3%A9, localhost, 65535, é",
  })
  void readsAddressesOnTcp(String text, String host, int port, String name) {
    assertEquals(NbdUri.tcp(host, port, name), NbdUri.parse(text));
  }

  @ParameterizedTest
  @CsvSource({
    "nbd+unix:///?socket=/tmp/s, /tmp/s, ''",
    "nbd+unix:///disk?socket=nbd.sock, nbd.sock, disk",
    "nbd+unix://?socket=/a%20b, /a b, ''",
    "nbd+unix:///a%3Fb?socket=/x+y, /x+y, a?b",
  })
  void readsUnixSockets(String text, String path, String name) {
    assertEquals(NbdUri.unix(path, name), NbdUri.parse(text));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "nbd",
        "nbd:",
        "nbd:host",
        "http://h/",
        "nbdsx://h/",
        "nbds://host/?tls-certificates=/x",
        "nbds+unix:///",
        "nbd://host:99999/",
        "nbd://host:x/",
        "nbd://user@host/",
        "nbd://host/%zz",
        "nbd://host/%ff",
        "nbd://host/%00",
        "nbd://host/a b",
        "nbd://host/#fragment",
        "nbd://host/?socket=/x",
        "nbd://host/?tls-type=psk",
        "nbd://[::1/",
        "nbd+unix:///",
        "nbd+unix:///?socket=",
        "nbd+unix:///?socket=/a&socket=/b",
        "nbd+unix:///?sock=/a",
        "nbd+unix://host/?socket=/a",
        "nbd+unix:///?socket=%00abstract",
      })
  void refusesWhatIsNoAddressInOneLine(String text) {
    UserException e = assertThrows(UserException.class, () -> NbdUri.parse(text));
    assertTrue(String.valueOf(e.getMessage()).contains(text), e.getMessage());
    assertFalse(String.valueOf(e.getMessage()).contains("\n"), e.getMessage());
  }

  @Test
  void readsThatTlsIsRequired() {
    assertEquals(NbdUri.tcp("host", 10809, "x").withTls(true), NbdUri.parse("nbds://host/x"));
    assertEquals(NbdUri.unix("/a", "").withTls(true), NbdUri.parse("NBDS+unix:///?socket=/a"));
  }

  @Test
  void readsBackWhateverItPrints() {
    long seed = Seeds.next(NbdUriTest.class);
    Random random = new Random(seed);
    for (int i = 0; i < 2000; i++) {
      String name = text(random, 0);
      NbdUri uri =
          switch (random.nextInt(3)) {
            case 0 -> NbdUri.unix(text(random, 1), name);
            case 1 -> NbdUri.tcp("2001:db8::" + random.nextInt(1, 9999), 1, name);
            default -> NbdUri.tcp("host-" + random.nextInt(99) + ".example", i, name);
          };
      uri = uri.withTls(random.nextBoolean());
      assertEquals(uri, NbdUri.parse(uri.toString()), "seed " + seed);
    }
  }

  private static String text(Random random, int least) {
    StringBuilder text = new StringBuilder();
    for (int n = least + random.nextInt(12); n > 0; n--) {
      int c = random.nextInt(4) == 0 ? random.nextInt(1, 0xD800) : random.nextInt(1, 127);
      text.appendCodePoint(random.nextInt(20) == 0 ? 0x1F600 : c);
    }
    return text.toString();
  }
}
