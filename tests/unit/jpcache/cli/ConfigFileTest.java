package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import jpcache.base.UserException;
import jpcache.nbd.NbdUri;
import jpcache.nbd.TlsPolicy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a file for {@code serve --config} may say, and how mistakes in it are told. */
class ConfigFileTest {
  private static final String ONE = "[export.one]\ncache = \"c\"\nbacking = \"b\"\n";

  @TempDir private Path directory;

  private Path file(String text) {
    try {
      return Files.writeString(directory.resolve("x.toml"), text);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private ServePlan read(String text) {
    return ConfigFile.read(file(text), notice -> {});
  }

  private String refusal(String text) {
    UserException e = assertThrows(UserException.class, () -> read(text));
    String message = String.valueOf(e.getMessage());
    String prefix = directory.resolve("x.toml").toString();
    assertTrue(message.startsWith(prefix), message);
    assertFalse(message.contains("\n"), message);
    return message.substring(prefix.length());
  }

  @Test
  void theHeadSaysWhereTheServerListens() {
    ServePlan plan =
        read(
            "listen = ['nbd://[::1]:1/', 'nbd+unix:///?socket=/s']\ninsecure = true\n"
                + "socket-mode = '0660'\n"
                + ONE);

    assertEquals(
        List.of(NbdUri.tcp("::1", 1, ""), NbdUri.unix("/s", "")), plan.listening().addresses());
    assertTrue(plan.listening().insecure());
    assertEquals(0660, plan.listening().socketMode());
    assertEquals(TlsPolicy.OFF, plan.listening().tls());
  }

  @Test
  void theHeadSaysWhatClientsMayTake() {
    ServePlan plan = read("max-connections = 7\nreply-memory = '2M'\n" + ONE);
    assertEquals(7, plan.server().maxConnections());
    assertEquals(2 << 20, plan.server().replyBytes());
    assertEquals(1024, read(ONE).server().maxConnections());
    assertEquals(64 << 20, read(ONE).server().replyBytes());
    String tooSmall = refusal("reply-memory = '1K'\n" + ONE);
    assertTrue(tooSmall.startsWith(":1: reply-memory = \"1K\": 1K: not 1 MiB or more"), tooSmall);
  }

  @Test
  void oneAddressNeedsNoArrayAndNoneIsTheDefault() {
    assertEquals(
        List.of(NbdUri.tcp("::1", 1, "")),
        read("listen = 'nbd://[::1]:1/'\n" + ONE).listening().addresses());
    assertEquals(List.of(NbdUri.defaultListen()), read(ONE).listening().addresses());
  }

  @Test
  void theOnlyExportIsTheDefaultAndOfSeveralTheOneThatIsNamed() {
    String two = ONE + "[export.two]\ncache = 'd'\nbacking = 'e'\n";
    assertEquals("one", read(ONE).defaultExport());
    assertNull(read(two).defaultExport());
    assertEquals("two", read("default-export = 'two'\n" + two).defaultExport());
  }

  @Test
  void aFailureToOpenNamesTheTable() {
    UserException e = assertThrows(UserException.class, () -> read(ONE).open().get());

    assertTrue(String.valueOf(e.getMessage()).contains("x.toml: [export.one] "), e.getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "lisen = 'x' | :1: lisen = \"x\": there is no such key; there are control,",
        "threads = 3 | :1: threads = 3: there is no such key; there are control,",
        "listen = 3 | :1: listen = 3: NBD address 3: write nbd://",
        "metrics = 'x' | :1: metrics = \"x\": metrics address x: write HOST:PORT",
        "max-connections = 0 | :1: max-connections = 0: 0: not a whole number, 1 or more",
        "tls-clients = 'required' | : tls-clients required: clients' certificates",
        "listen = [[1]] | :1: listen = [...]: must be a string or a whole number",
        "listen = 1.5 | :1: listen = 1.5: must be a string or a whole number",
        "insecure = 'yes' | :1: insecure = \"yes\": must be true or false",
        "socket-mode = '999' | :1: socket-mode = \"999\": 999: not 0 to 777",
        "socket-owner = 'no-such-user-here' |"
            + " :1: socket-owner = \"no-such-user-here\": no-such-user-here: there is no such user",
        "tls = 'maybe' | :1: tls = \"maybe\": maybe: not off, on or required",
        "tls = 'required' | : TLS needs keys",
        "control = 5 | :1: control = 5: must be a string",
        "tls-psk = 5 | :1: tls-psk = 5: must be a string",
        "default-export = 5 | :1: default-export = 5: must be a string",
        "metrics = ['a', 'b'] | :1: metrics = [...]: must be one value",
        "default-export = 'x' | : default-export = \"x\": there is no such table",
        "listen = 'nbd://h/name' | : listen: nbd://h:10809/name: the exports' names",
        "insecure = true = | : line 1: ",
      })
  void aMistakeInTheHeadIsTold(String line, String message) {
    String told = refusal(line + "\n" + ONE);

    assertTrue(told.startsWith(message), told);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "cahce = 'x' | :4: [export.one] cahce = \"x\": there is no such key; there are backing,",
        "listen = 'x' | :4: [export.one] listen = \"x\": there is no such key",
        "dirty-age = 'x' | :4: [export.one] dirty-age = \"x\": x: not a whole number, 0 to",
        "dirty-percent = 101 | :4: [export.one] dirty-percent = 101: 101: not a whole number",
        "create = '5X' | :4: [export.one] create = \"5X\": ",
        "durability = 'never' | :4: [export.one] durability = \"never\": never: not ack or flush",
        "read-only = 1 | :4: [export.one] read-only = 1: must be true or false",
        "description = 5 | :4: [export.one] description = 5: must be a string",
        "description = {a = 1} | :4: [export.one] description = {...}: must be a string",
        "cache = 'twice' | : line 4: ",
      })
  void aMistakeInATableIsTold(String line, String message) {
    String told = refusal(ONE + line + "\n");

    assertTrue(told.startsWith(message), told);
  }

  @Test
  void aNumberIsNoPath() {
    String told = refusal("[export.one]\ncache = 5\nbacking = 'b'\n");
    assertTrue(told.startsWith(":2: [export.one] cache = 5: must be a string"), told);
  }

  @Test
  void aNumberIsAPortASizeAndAMode() {
    assertEquals(0660, read("socket-mode = 660\nmetrics = 9100\n" + ONE).listening().socketMode());
    assertEquals(2 << 20, read("reply-memory = 2097152\n" + ONE).server().replyBytes());
  }

  @Test
  void thereMustBeATableOfExports() {
    assertTrue(refusal("").contains("there is no table [export.NAME]"));
    assertTrue(refusal("[export]\n").contains("there is no table [export.NAME]"));
    assertTrue(refusal("export = 3\n").contains("there is no table [export.NAME]"));
    assertTrue(refusal("[export]\none = 3\n").contains(":2: [export] one = 3: must be a table"));
    assertTrue(refusal("[export]\none = 3\n").contains("write [export.one]"));
  }

  @Test
  void aFileThatIsNotThereIsNamed() {
    Path missing = directory.resolve("missing.toml");
    UserException e =
        assertThrows(UserException.class, () -> ConfigFile.read(missing, notice -> {}));

    assertEquals(missing + ": no such file", e.getMessage());
  }
}
