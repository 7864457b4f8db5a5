package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A short run of {@code ci/fio-verify}. */
class FioVerifyTest {
  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
    Jpcache.assumeInstalled("fio");
  }

  @Test
  void fioFindsItsChecksumsAfterWritingOverwritingAndRestarting() {
    ProcessBuilder fio = new ProcessBuilder("ci/fio-verify", "16");
    fio.environment().put("JPCACHE", Jpcache.launcher());
    Jpcache.Result result = Jpcache.finish(fio).succeeded();
    assertEquals(3, result.out().lines().filter(line -> line.endsWith(": right")).count());
  }
}
