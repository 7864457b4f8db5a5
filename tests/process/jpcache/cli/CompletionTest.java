package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What bash makes of the script that {@code jpcache completion} prints. */
class CompletionTest {
  @TempDir Path directory;

  private Path script;

  @BeforeEach
  void print() throws Exception {
    StringWriter out = new StringWriter();
    assertEquals(
        0, Main.run(Main.commandLine("completion").setOut(new PrintWriter(out)), "completion"));
    script = Files.writeString(directory.resolve("script"), out.toString());
  }

  /** The words that bash offers in place of the last one, sorted. */
  private List<String> completed(String... line) throws Exception {
    String words = "'" + String.join("' '", line) + "'";
    String bash =
        "compopt() { :; }; source " // it works while bash completes alone
            + script
            + "; COMP_WORDS=("
            + words
            + "); COMP_CWORD="
            + (line.length - 1)
            + "; _complete_jpcache; printf '%s\\n' \"${COMPREPLY[@]}\"";
    Process process = new ProcessBuilder("bash", "-c", bash).start();
    String offered = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals("0 ", process.waitFor() + " " + err);
    return offered.lines().sorted().toList();
  }

  @Test
  void commandsAreCompleted() throws Exception {
    assertEquals(List.of("flush", "format", "fsck"), completed("jpcache", "f"));
    assertEquals(List.of("status", "stop"), completed("jpcache", "st"));
  }

  @Test
  void optionsAreCompletedForTheirCommand() throws Exception {
    assertEquals(List.of("--dry-run"), completed("jpcache", "rescue", "--d"));
    assertEquals(
        List.of("--data-crc", "--description", "--dirty-age", "--dirty-percent", "--durability"),
        completed("jpcache", "serve", "--d"));
  }
}
