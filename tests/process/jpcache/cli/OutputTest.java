package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.media.MediaBuilder;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What becomes of a command whose standard output cannot be written. */
class OutputTest {
  @TempDir(factory = ShmDirectory.class)
  static Path directory;

  @BeforeAll
  static void makeMedia() throws IOException {
    MediaBuilder.create(directory.resolve("cache"), MediaBuilder.SMALL_BYTES).close();
    try (var backing = new RandomAccessFile(directory.resolve("backing").toFile(), "rw")) {
      backing.setLength(1 << 20);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "--version, 1",
    "dump --help, 1",
    "dump --cache cache, 1",
    "dump --cache cache --json --keys, 1",
    "fsck --cache cache, 8",
    "rescue --cache cache --backing backing --json --dry-run, 1",
  })
  void aFullDiskIsAFailureInOneLine(String line, int exit) throws Exception {
    ProcessBuilder command = new ProcessBuilder(MainProcess.command(line.split(" ")));
    command.redirectOutput(Redirect.to(new File("/dev/full")));
    String err = "jpcache: stdout: could not be written: No space left on device\n";
    assertEquals(exit + " " + err, outcome(command));
  }

  @Test
  void aServerThatCannotSayReadyServesAndTellsSo() throws Exception {
    List<String> serve =
        MainProcess.command(
            "serve",
            "--cache",
            "served",
            "--create",
            "512M",
            "--backing",
            "backing",
            "--listen",
            "nbd+unix:///?socket=a",
            "--listen",
            "nbd+unix:///?socket=b");
    Process server =
        new ProcessBuilder(serve)
            .directory(directory.toFile())
            .redirectOutput(Redirect.to(new File("/dev/full")))
            .start();
    List<String> told = new ArrayList<>();
    try (BufferedReader err = server.errorReader()) {
      for (String line; (line = err.readLine()) != null; ) {
        told.add(line);
        if (line.endsWith("nobody is told READY")) {
          try (NbdClient client = NbdClient.unix(directory.resolve("b"))) {
            client.go("");
          }
          server.toHandle().destroy(); // the process would close its streams
        }
      }
      assertEquals(0, server.waitFor(), "it stopped in order");
    } finally {
      server.destroyForcibly();
    }
    String full = "jpcache: stdout: could not be written: No space left on device";
    int at = told.indexOf(full + ": serves, though nobody is told READY");
    assertTrue(at >= 0, told::toString);
    // At its end it says so once more, if the process that was told to stop gets there.
    told.subList(at + 1, told.size()).forEach(line -> assertEquals(full, line));
  }

  @Test
  void aReaderThatHasEnoughIsNone() throws Exception {
    List<String> shell =
        new ArrayList<>(List.of("bash", "-c", "set -o pipefail; \"$@\" | true", "bash"));
    shell.addAll(MainProcess.command("dump", "--cache", "cache", "--keys", "--json"));
    assertEquals("0 ", outcome(new ProcessBuilder(shell)));
  }

  /** Its exit code and what it said on stderr. */
  private static String outcome(ProcessBuilder command) throws Exception {
    Process process = command.directory(directory.toFile()).start();
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    return process.waitFor() + " " + err;
  }
}
