package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jpcache.base.Crc32c;
import jpcache.media.CacheMedia;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Who opens a cache whose replay takes long is told how far it is. */
class LongReplayTest {
  private static final int KEY_BYTES = Layout.SUBTREE_BYTES;
  private static final int BLOCK = 4096;
  private static final int DATA_SEGMENT = 1;
  private static final double REPLAY_NANOS = 3e9;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  /**
   * A small log takes long where data crc is on and its keys are large: the data of each is read.
   * All of them point to the same bytes, a block apart in turn, or it would be read once.
   */
  @Test
  void serveTellsHowManyKeysHaveBeenReplayedWhenItTakesOverASecond() {
    Jpcache.assumeItCanRun();
    Media media = Media.in(shm, disk).withBacking(KEY_BYTES).formatted("512M", "--data-crc");
    int keys = writeLog(media.cache());
    try (Server server = Server.start(media.serveOptions())) {
      Matcher line =
          Pattern.compile(
                  "(?m)^jpcache: "
                      + Pattern.quote(media.cache().toString())
                      + ": replayed (\\d+) keys so far$")
              .matcher(server.stderr());
      assertTrue(line.find(), () -> "of " + keys + " keys nobody was told: " + server.stderr());
      int told = Integer.parseInt(line.group(1));
      assertTrue(0 < told && told < keys, () -> told + " of " + keys);
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  /** Of so many keys that this machine needs some seconds to read their data. */
  private static int writeLog(Path cache) {
    try (MediaBuilder builder = MediaBuilder.open(cache, true)) {
      long dataOffset = MediaBuilder.dataOffset(DATA_SEGMENT);
      builder.media().asSlice(dataOffset, KEY_BYTES + BLOCK).fill((byte) 'x');
      MemorySegment data = builder.media().asSlice(dataOffset, KEY_BYTES);
      Crc32c crc = new Crc32c();
      int dataCrc = crc.of(data.address(), KEY_BYTES);
      long generation =
          CacheMedia.read(cache.toString(), builder.view()).segments().generation(DATA_SEGMENT);
      LogKey[] full = new LogKey[Layout.KSET_MAX_KEYS];
      for (int key = 0; key < full.length; key++) {
        int place = key % 2 * BLOCK;
        full[key] = new LogKey(0, KEY_BYTES, 0, DATA_SEGMENT, place, generation, dataCrc);
      }
      int ksets = (int) Math.ceil(REPLAY_NANOS / full.length / nanosPerKey(crc, data));
      int at = 0;
      for (int kset = 0; kset < ksets; kset++) {
        at += builder.kset(0, at, full).sizeBytes();
      }
      return ksets * full.length;
    }
  }

  private static double nanosPerKey(Crc32c crc, MemorySegment data) {
    double fastest = Double.MAX_VALUE;
    for (int round = 0; round < 100; round++) {
      long start = System.nanoTime();
      var _ = crc.of(data.address(), KEY_BYTES);
      fastest = Math.min(fastest, (double) (System.nanoTime() - start));
    }
    return fastest;
  }
}
