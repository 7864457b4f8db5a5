package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.Errno;
import jpcache.media.Layout;
import jpcache.nbd.NbdClient;
import jpcache.pmem.PmemBinding;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A server whose cache loses memory while it is served: an error of the requests that need it. A
 * file that is truncated stands for poison: both are a SIGBUS.
 */
class LostMemoryTest {
  private static final long BACKING_BYTES = 64 << 20;
  private static final int WRITE_BYTES = 1 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void aWriteThatNeedsItFailsAndNothingElseDoes(PmemBinding binding) throws Exception {
    try (Server server = Server.start(media.serveOptions("--pmem", binding.label()));
        NbdClient first = NbdClient.unix(media.socket());
        NbdClient second = NbdClient.unix(media.socket())) {
      first.go("");
      second.go("");
      first.write(0, payload(0));
      long sound = placeBehindFirstData();
      truncate(sound);
      int failed = 0;
      for (int i = 1; i <= 4; i++) {
        failed += error(first, i) == 0 ? 0 : 1;
        failed += error(second, 4 + i) == 0 ? 0 : 1;
      }
      assertTrue(failed >= 4, "most of the cache is gone: " + failed);
      assertArrayEquals(payload(0), first.read(0, WRITE_BYTES));
      assertArrayEquals(payload(0), second.read(0, WRITE_BYTES));
      assertArrayEquals(new byte[WRITE_BYTES], second.read(32 << 20, WRITE_BYTES));
      try (NbdClient third = NbdClient.unix(media.socket())) {
        third.go("");
        assertArrayEquals(payload(0), third.read(0, WRITE_BYTES));
      }
      assertTrue(server.stderr().contains("its memory is gone"), server::stderr);
      assertEquals(0, server.terminate(), server::stderr);
      assertEquals(1, server.lines().size(), () -> "READY alone: " + server.lines());
      assertFalse(server.stderr().contains("SIGBUS"), server::stderr);
      assertFalse(Files.exists(Path.of("hs_err_pid" + server.pid() + ".log")));
    }
  }

  private static int error(NbdClient client, int number) throws IOException {
    client.sendWrite((long) number * WRITE_BYTES, payload(number), false);
    int error = client.receive().error();
    assertTrue(error == 0 || error == Errno.EIO, "error " + error);
    return error;
  }

  /** The first data is in the first segment behind the log's. */
  private static long placeBehindFirstData() {
    return Layout.SEGMENTS_OFFSET + Layout.SEGMENT_BYTES + 2 * WRITE_BYTES;
  }

  private void truncate(long bytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(media.cache().toFile(), "rw")) {
      file.setLength(bytes);
    }
  }

  private static byte[] payload(int number) {
    int sectors = WRITE_BYTES / Stamp.SECTOR_BYTES;
    return new Stamp(1).payload(1, 0, (long) number * sectors, sectors);
  }
}
