package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import jpcache.nbd.NbdClient;
import jpcache.support.DiskUsage;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A rescue that is stopped on its way. */
class RescueProcessTest {
  private static final int BLOCK_BYTES = 1 << 20;
  private static final int BLOCKS = 300;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking((long) BLOCKS * BLOCK_BYTES).formatted("512M");
  }

  private static byte[] block(int number) {
    byte[] block = new byte[BLOCK_BYTES];
    Arrays.fill(block, (byte) (1 + number % 100));
    return block;
  }

  private void leaveDirtyData() throws IOException {
    String[] options = media.serveOptions("--dirty-age", "3600", "--dirty-percent", "100");
    try (Server server = Server.start(options);
        NbdClient client = NbdClient.unix(media.socket())) {
      client.go("");
      for (int i = 0; i < BLOCKS; i++) {
        client.write((long) i * BLOCK_BYTES, block(i));
      }
      server.kill();
    }
  }

  @Test
  void whoStopsItIsToldHowFarItGotAndThatItCanGoOn() throws Exception {
    leaveDirtyData();
    String[] rescue = {
      "rescue", "--cache", media.cache().toString(), "--backing", media.backing().toString()
    };
    Process process = Jpcache.command(rescue).start();
    while (DiskUsage.kib(media.backing()) == 0 && process.isAlive()) {
      TimeUnit.MILLISECONDS.sleep(1);
    }
    process.toHandle().destroy(); // the process would close its streams
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);

    assertEquals(143, process.waitFor(), err);
    String told =
        "(?s).*jpcache: rescue was interrupted: \\d+ of \\d+ key sets are done; run it again to go on\n";
    assertTrue(err.matches(told), err);

    Jpcache.run(rescue).succeeded();
    try (RandomAccessFile backing = new RandomAccessFile(media.backing().toFile(), "r")) {
      byte[] found = new byte[BLOCK_BYTES];
      for (int i = 0; i < BLOCKS; i++) {
        backing.readFully(found);
        assertArrayEquals(block(i), found);
      }
    }
  }
}
