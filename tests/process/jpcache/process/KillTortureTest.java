package jpcache.process;

import java.nio.file.Path;
import jpcache.Seeds;
import jpcache.process.AcknowledgementModel.Durability;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * No acknowledged write is lost when the server is killed. {@code ci/torture} runs it for longer.
 */
class KillTortureTest {
  private static final int ROUNDS = Integer.getInteger("jpcache.torture.rounds", 2);
  private static final int SECONDS =
      Integer.getInteger("jpcache.torture.seconds", 15) / Durability.values().length;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
  }

  @ParameterizedTest
  @Timeout(86_400)
  @EnumSource
  void whatWasAcknowledgedSurvivesKillsUnderLoad(Durability durability) throws Exception {
    long seed = Seeds.next(KillTortureTest.class);
    new KillTorture(Media.in(shm, disk), disk, durability, seed).run(ROUNDS, SECONDS);
  }
}
