package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import jpcache.backing.MemoryBacking;
import jpcache.backing.ThrottledBacking;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.nbd.NbdClient;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A full cache in front of a device that has stopped, as a client on one connection sees it. */
@Timeout(300)
class SlowDeviceTest {
  private static final int MIB = 1 << 20;
  private static final int BLOCKS = 48;
  private static final int BLOCK = MIB;
  private static final int WAITING = 20;

  private final byte[] disk = new byte[64 * MIB];
  private final ThrottledBacking backing =
      new ThrottledBacking(new MemoryBacking(disk), 1L << 40, 0, 32);

  /** What each block was last filled with by a write that was answered. */
  private final byte[] acknowledged = new byte[BLOCKS];

  private final Set<Long> unanswered = new HashSet<>();

  @Test
  void readsOfCachedDataAreAnsweredWhileWritesWaitForTheDevice(@TempDir Path directory)
      throws IOException {
    MemoryRegion region = new MemoryRegion(512L * MIB);
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    backing.hold();
    String socket = directory.resolve("s").toString();
    try (Serving serving =
            Serving.start(
                region,
                backing,
                CacheOptions.defaults().withLanes(2),
                NbdServerOptions.defaults().withListen(NbdUri.unix(socket, "")),
                Set.of(""));
        NbdClient client = NbdClient.unix(directory.resolve("s"))) {
      assertEquals(serving.sizeBytes(), client.go("").sizeBytes());
      int filled = writeUntilOneWaits(client);
      assertTrue(filled > 350, "only " + filled + " MiB went into a cache of 512");

      for (int block = 1; block < WAITING; block++) {
        unanswered.add(client.sendWrite((long) block * BLOCK, filled(4096, -block), false));
        for (int cached = WAITING; cached < BLOCKS; cached++) {
          assertEquals(acknowledged[cached], read(client, cached), "block " + cached);
        }
      }
      assertEquals(WAITING, unanswered.size(), "of the writes none can have been answered");

      backing.release();
      while (!unanswered.isEmpty()) {
        NbdClient.Reply reply = client.receive();
        assertEquals(0, reply.error());
        assertTrue(unanswered.remove(reply.cookie()), "an answer to nothing that was asked");
      }
      for (int block = 1; block < WAITING; block++) {
        assertEquals(-block, client.read((long) block * BLOCK, 512)[0]);
      }
    }
  }

  /** Overwrites all but the first blocks until a write gets no answer; returns how many did. */
  private int writeUntilOneWaits(NbdClient client) throws IOException {
    client.write((long) WAITING * BLOCK, filled(BLOCK, 0)); // is cached when it is read below
    for (int number = 0; ; number++) {
      int block = WAITING + number % (BLOCKS - WAITING);
      byte fill = (byte) (1 + number % 100);
      unanswered.add(client.sendWrite((long) block * BLOCK, filled(BLOCK, fill), false));
      // A write that need not wait is answered with the first read behind it at the latest: at the
      // second it has been.
      read(client, WAITING);
      read(client, WAITING);
      if (!unanswered.isEmpty()) {
        return number;
      }
      acknowledged[block] = fill;
    }
  }

  /** The last byte of a block; what else is answered meanwhile is taken note of. */
  private byte read(NbdClient client, int block) throws IOException {
    long cookie = client.sendRead((long) (block + 1) * BLOCK - 4096, 4096);
    while (true) {
      NbdClient.Reply reply = client.receive();
      assertEquals(0, reply.error());
      if (reply.cookie() == cookie) {
        return reply.data()[4095];
      }
      assertTrue(unanswered.remove(reply.cookie()), "an answer to nothing that was asked");
    }
  }

  private static byte[] filled(int length, int fill) {
    byte[] data = new byte[length];
    Arrays.fill(data, (byte) fill);
    return data;
  }
}
