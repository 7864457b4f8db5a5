package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ./jpcache serve} without options prints lines that work as they stand. */
class DemonstrationTest {
  @TempDir Path runtime;

  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
    Jpcache.assumeInstalled("fio");
    Jpcache.assumeInstalled("nbdinfo");
  }

  @Test
  void thePrintedLinesWorkAsTheyStand() throws Exception {
    ProcessBuilder command = Jpcache.command("serve");
    command.environment().put("XDG_RUNTIME_DIR", runtime.toString());
    command.environment().remove("PMEM_IS_PMEM_FORCE"); // a user has not set it
    try (Server server = Server.launch(command).awaitReady()) {
      assertEquals(1 << 30, server.sizeBytes());
      String info = runPrinted(server, "nbdinfo");
      assertTrue(info.contains(Integer.toString(1 << 30)), info);
      String fio = runPrinted(server, "fio");
      assertTrue(fio.contains("err= 0"), fio);
      assertEquals(0, server.terminate(), server::stderr);
    }
    try (Stream<Path> left = Files.list(runtime)) {
      assertEquals(List.of(), left.toList(), "what it made goes with it");
    }
  }

  @Test
  void aRuntimeDirectoryWithALongNameIsPassedOver() throws Exception {
    Path deep = Files.createDirectories(runtime.resolve("x".repeat(100)));
    ProcessBuilder command = Jpcache.command("serve");
    command.environment().put("XDG_RUNTIME_DIR", deep.toString());
    try (Server server = Server.launch(command).awaitReady()) {
      assertTrue(server.uri().contains("socket=/tmp/jpcache-"), server.uri());
      assertFalse(server.stderr().contains("cannot be controlled"), server.stderr());
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  /** Runs the one printed line that calls this program, in a shell, as a user who copies it. */
  private static String runPrinted(Server server, String program) {
    String line =
        server.lines().stream()
            .map(String::strip)
            .filter(printed -> printed.startsWith(program + " "))
            .findFirst()
            .orElseThrow(() -> new AssertionError("no " + program + " line: " + server.lines()));
    return Jpcache.finish(new ProcessBuilder("sh", "-c", line)).succeeded().out();
  }
}
