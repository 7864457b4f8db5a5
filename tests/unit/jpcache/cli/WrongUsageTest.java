package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** A value that is wrong whatever the devices: one line with its option, and exit code 2. */
class WrongUsageTest {
  private final StringWriter err = new StringWriter();

  private void assertWrong(String command, String option, String complaint) {
    CommandLine line = Main.commandLine().setErr(new PrintWriter(err));
    assertEquals(2, Main.run(line, command.replace("''", "").split(" ", -1)), err::toString);
    assertEquals(1, err.toString().lines().count(), err::toString);
    assertTrue(err.toString().contains(option + complaint), err::toString);
  }

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      value = {
        "--dirty-age, -1, -1: not a whole number",
        "--dirty-age, 2147484, 2147484: not a whole number",
        "--dirty-percent, -1, -1: not a whole number",
        "--dirty-percent, 101, 101: not a whole number",
        "--keep-percent, 81, 81: not a whole number",
        "--threads, 0, 0: not a whole number",
        "--backing-depth, 0, 0: not a whole number",
        "--max-connections, 0, 0: not a whole number",
        "--reply-memory, 1, 1: not 1 MiB or more",
        "--reply-memory, 2G, 2G: not 1 MiB or more",
        "--socket-mode, 7777, 7777: not 0 to 777",
        "--socket-owner, no-such-user-here, no-such-user-here: there is no such user or group",
        "--metrics, foo, metrics address foo: write HOST:PORT",
        "--metrics, 70000, metrics address 70000: port 70000 is not in 0..65535",
        "--create, 17T, 17T: a cache has at most 16 TiB",
        "--create, 100M, 100M: a cache has at least 512 MiB",
        "--cache, '', the path is empty",
        "--durability, none, none: not ack or flush",
        "--backing-io, x, \"x: not auto, uring or pool\"",
        "--tls, x, \"x: not off, on or required\"",
        "--tls-clients, x, \"x: not ignored, optional or required\"",
        "--pmem, x, \"x: not ffm, jni or jna\"",
      })
  void anOptionOfServe(String option, String value, String complaint) {
    assertWrong("serve --cache c --backing b " + option + " " + value, option, "': " + complaint);
  }

  @ParameterizedTest
  @CsvSource({
    "foo, write nbd://HOST:PORT",
    "nbd://h:99999/, port 99999 is not in 0..65535",
    "nbd+unix:///?socket=/a_b, a space is written as %20",
  })
  void anAddressToListenOn(String address, String complaint) {
    CommandLine line = Main.commandLine().setErr(new PrintWriter(err));
    assertEquals(2, Main.run(line, "serve", "--listen", address.replace('_', ' ')), err::toString);
    assertTrue(err.toString().contains("'--listen' "), err::toString);
    assertTrue(err.toString().contains(complaint), err::toString);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--force",
        "--create 1G",
        "--metrics 1",
        "--control /nowhere/c",
        "--export v",
        "--mode write-through",
        "--data-crc",
        "--dirty-age 1",
        "--read-only",
        "--listen nbd://127.0.0.1:0/",
        "--socket-mode 660",
      })
  @Timeout(value = 30, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void anOptionOfServeWithoutACacheThatItIsFor(String option) {
    String name = option.split(" ", -1)[0];
    assertWrong(
        "serve " + option,
        "--cache PATH and --backing DEV are missing",
        ": " + name + " says that a cache is to be served");
  }

  @ParameterizedTest
  @CsvSource({"--cache c, --backing DEV", "--backing b, --cache PATH"})
  void halfOfWhatServeNeeds(String option, String missing) {
    assertWrong("serve " + option, missing, " is missing: ");
  }

  @ParameterizedTest
  @CsvSource({"required", "optional"})
  void clientsCertificatesWithoutWhatChecksThem(String clients) {
    assertWrong(
        "serve --cache c --backing b --tls-clients " + clients,
        "--tls-clients " + clients,
        ": clients' certificates are checked by what --tls-certificates DIR holds");
  }

  @ParameterizedTest
  @CsvSource({
    "gc-percent, 91, 91: not a whole number",
    "gc-percent, foo, foo: not a whole number",
    "mode, foo, foo: no such cache mode",
    "foo, 3, no such setting",
  })
  void aSettingOfARunningServer(String setting, String value, String complaint) {
    assertWrong("set --cache c " + setting + " " + value, "set " + setting, ": " + complaint);
  }

  @ParameterizedTest
  @CsvSource({
    "--size, 100M, 100M: a cache has at least 512 MiB",
    "--size, 17T, 17T: a cache has at most 16 TiB",
    "--gc-percent, 91, 91: not a whole number",
  })
  void anOptionOfFormat(String option, String value, String complaint) {
    assertWrong("format --cache c " + option + " " + value, option, "': " + complaint);
  }
}
