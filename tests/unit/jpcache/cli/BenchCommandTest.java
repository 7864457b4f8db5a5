package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import jpcache.JsonCheck;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class BenchCommandTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine line = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Main.run(line, args);
  }

  @Test
  void measuresEveryWorkOnOneThreadAndOnAllAndLeavesNothingBehind() throws IOException {
    String directory = shm.toString();
    int code =
        run("bench", "--directory", directory, "--size", "512M", "--rounds", "1", "--threads", "2");
    assertEquals(0, code, err::toString);
    assertEquals(1 + 2 * 2 * 6, out.toString().lines().count(), out::toString);
    for (String work :
        new String[] {
          "random write burst", "random write  ", "random read hit", "70/30 read/write"
        }) {
      assertEquals(4, out.toString().lines().filter(line -> line.contains(work)).count(), work);
    }
    try (Stream<Path> left = Files.list(shm)) {
      assertEquals(0, left.count());
    }
  }

  @Test
  void tellsProgramsTheSameInJson() {
    String directory = shm.toString();
    int code =
        run(
            "bench",
            "--directory",
            directory,
            "--size",
            "512M",
            "--rounds",
            "1",
            "--threads",
            "1",
            "--data-crc",
            "--json");
    assertEquals(0, code, err::toString);
    JsonCheck.check(out.toString());
    assertTrue(out.toString().contains("ofRawPercent"), out::toString);
  }

  @ParameterizedTest
  @CsvSource({
    "--rounds, 0, --rounds 0: not 1 or more",
    "--threads, 65, --threads 65: not 1 to 64",
    "--size, 1M, --size 1 MiB: not 512 MiB or more"
  })
  void refusesWhatItCannotMeasure(String option, String value, String complaint) {
    assertEquals(2, run("bench", option, value));
    assertTrue(err.toString().contains(complaint), err::toString);
  }

  @Test
  void saysWhereTheCacheCannotBeMade() {
    assertEquals(1, run("bench", "--directory", "/nowhere"));
    assertTrue(err.toString().contains("/nowhere: no directory can be made there"), err::toString);
    assertFalse(err.toString().contains("Exception: "), err::toString);
  }
}
