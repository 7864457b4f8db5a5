package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import jpcache.Seeds;
import jpcache.backing.SimBacking;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.cache.Durability;
import jpcache.history.SectorHistory;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.nbd.Export;
import jpcache.nbd.NbdClient;
import jpcache.nbd.NbdServer;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import jpcache.pmem.MemoryRegion;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Clients of one export, at once: everything that they saw is recorded and must be linearizable,
 * sector by sector.
 *
 * <p>The engine behind the server has only a few segments, which are written back, freed and filled
 * again all the time, over a backing device that answers in any order: so what is read comes from
 * written data, filled data, the backing device, and places between.
 */
class NbdHistoryTest {
  /** On a machine with other work it goes on until there are so many: fewer say nothing. */
  private static final int ENOUGH_OPERATIONS = 1000;

  private static final int DEVICE_BYTES = 24 << 20;
  private static final int SUBTREE_SECTORS = (4 << 20) / Stamp.SECTOR_BYTES;
  private static final int WRITERS = 4;
  private static final int MOST_SECTORS = 24;

  /** All meet in one of these rows for a while, then in the next; none is still cached by then. */
  private static final int ROWS = 16;

  private static final int ROW_SECTORS = 96;
  private static final int BATCHES_PER_ROW = 48;

  /** A border between subtrees lies in the midst of one of the rows. */
  private static final int FIRST_SECTOR = SUBTREE_SECTORS - ROW_SECTORS * 5 / 2;

  /** So much is in use that a few segments more make room to be wanted, and no misses be filled. */
  private static final int FREE_SEGMENTS = 16;

  private static final int GC_PERCENT = 60;
  private static final int FULL_CONNECTIONS = 256;
  private static final int ROUNDS = 6;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final long seed = Seeds.next(getClass());
  private final Stamp stamp = new Stamp(seed);
  private final AtomicInteger batches = new AtomicInteger();

  private static long durationNanos() {
    Long minutes = Long.getLong("jpcache.soak.minutes");
    return minutes != null
        ? TimeUnit.MINUTES.toNanos(minutes) / Durability.values().length
        : TimeUnit.SECONDS.toNanos(3);
  }

  private interface Body {
    void run(Path socket) throws Exception;
  }

  /** Serves an engine whose cache is almost full. */
  private void serve(Durability durability, Body body) throws Exception {
    byte[] content = stamp.payload(0, -1, 0, DEVICE_BYTES / Stamp.SECTOR_BYTES);
    SimBacking backing = new SimBacking(content, true, seed);
    AtomicBoolean over = new AtomicBoolean();
    try (MemoryRegion region = new MemoryRegion(512L << 20)) {
      MediaFormatter.format(region, false, CacheMode.WRITE_BACK, GC_PERCENT);
      Cache cache =
          Cache.open(
              region,
              backing,
              CacheOptions.defaults().withLanes(2).withDurability(durability).withWriteBack(0, 0));
      try (BlockQueue hog = cache.openQueue()) {
        MemorySegment some = MemorySegment.ofAddress(region.address());
        while (cache.status().segmentsUsed() < cache.status().info().segments() - FREE_SEGMENTS) {
          hog.write(8 << 20, 4 << 20, some.address(), false, errno -> {});
        }
        Thread maintenance = Thread.ofPlatform().start(() -> maintain(cache, over));
        Path socket = shm.resolve("s");
        NbdServer server =
            NbdServer.start(
                NbdServerOptions.defaults().withListen(NbdUri.unix(socket.toString(), "")),
                List.of(Export.of("", cache)));
        try {
          body.run(socket);
        } finally {
          server.stop();
          over.set(true);
          maintenance.join();
        }
      }
      cache.close();
    } finally {
      backing.close();
    }
  }

  private static void maintain(Cache cache, AtomicBoolean over) {
    while (!over.get()) {
      long pause = cache.maintenance().step(System.nanoTime());
      if (pause > 0) {
        LockSupport.parkNanos(Math.min(pause, 200_000));
      }
    }
  }

  private static <T> void all(List<Callable<T>> bodies) throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(bodies.size())) {
      List<Future<T>> results = new ArrayList<>();
      bodies.forEach(body -> results.add(threads.submit(body)));
      for (Future<T> result : results) {
        result.get();
      }
    } catch (ExecutionException e) {
      throw new AssertionError(e.getCause());
    }
  }

  @ParameterizedTest
  @EnumSource(Durability.class)
  @Timeout(86_400)
  void overlappingWritesAndReadsOfFourConnectionsAreLinearizable(Durability durability)
      throws Exception {
    SectorHistory history = new SectorHistory(ROWS * ROW_SECTORS);
    serve(
        durability,
        socket -> {
          long end = System.nanoTime() + durationNanos();
          List<Callable<Integer>> clients = new ArrayList<>();
          for (int i = 0; i < WRITERS; i++) {
            Client client = new Client(i, history, new SplittableRandom(seed + i));
            clients.add(() -> client.run(socket, end));
          }
          all(clients);
        });
    assertNull(history.violation(), () -> "seed " + seed);
    System.out.printf(
        "NbdHistoryTest: %s, %d operations of sectors are linearizable%n",
        durability, history.operations());
  }

  private record Request(boolean write, int sector, int count, long value, long invoked) {}

  /** A connection with several requests on their way at once. */
  private final class Client {
    private final int number;
    private final SectorHistory history;
    private final SectorHistory.Recorder recorder;
    private final SplittableRandom random;

    Client(int number, SectorHistory history, SplittableRandom random) {
      this.number = number;
      this.history = history;
      this.random = random;
      recorder = history.recorder();
    }

    Integer run(Path socket, long end) throws IOException {
      int requests = 0;
      try (NbdClient client = NbdClient.unix(socket)) {
        client.go("");
        while (System.nanoTime() < end || history.operations() <= ENOUGH_OPERATIONS) {
          requests += batch(client);
        }
        client.disconnect();
      }
      return requests;
    }

    private int batch(NbdClient client) throws IOException {
      int requests = 1 + random.nextInt(8);
      int row = batches.getAndIncrement() / BATCHES_PER_ROW % ROWS;
      Map<Long, Request> sent = new HashMap<>();
      for (int i = 0; i < requests; i++) {
        int count = 1 + random.nextInt(MOST_SECTORS);
        int sector = row * ROW_SECTORS + random.nextInt(ROW_SECTORS - count + 1);
        long at = (long) (FIRST_SECTOR + sector) * Stamp.SECTOR_BYTES;
        if (random.nextInt(3) == 0) {
          long value = history.newValue();
          byte[] payload = stamp.payload(value, number, FIRST_SECTOR + sector, count);
          Request write = new Request(true, sector, count, value, history.tick());
          sent.put(client.sendWrite(at, payload, random.nextInt(4) == 0), write);
        } else {
          Request read = new Request(false, sector, count, 0, history.tick());
          sent.put(client.sendRead(at, count * Stamp.SECTOR_BYTES), read);
        }
      }
      long other = otherRequest(client);
      for (int answers = 0; answers < requests + 1; answers++) {
        NbdClient.Reply reply = client.receive();
        long answered = history.tick();
        assertEquals(0, reply.error());
        if (reply.cookie() != other) {
          Request request = Objects.requireNonNull(sent.remove(reply.cookie()));
          record(request, reply.data(), answered);
        }
      }
      return requests;
    }

    /** Now and then large writes, so that segments fill up and what was recorded falls out. */
    private long otherRequest(NbdClient client) throws IOException {
      if (random.nextInt(8) != 0) {
        return client.sendFlush();
      }
      long megabyte = 12L + random.nextInt(8);
      return client.sendWrite(megabyte << 20, new byte[1 << 20], false);
    }

    private void record(Request request, byte[] data, long answered) {
      if (request.write) {
        recorder.wrote(request.sector, request.count, request.value, request.invoked, answered);
        return;
      }
      ByteBuffer bytes = ByteBuffer.wrap(data);
      for (int i = 0; i < request.count; i++) {
        int at = i * Stamp.SECTOR_BYTES;
        int sector = FIRST_SECTOR + request.sector + i;
        long value = stamp.read(bytes, at, sector);
        if (value == Stamp.BROKEN) {
          throw new AssertionError("sector " + sector + ": " + stamp.describe(bytes, at, sector));
        }
        recorder.read(request.sector + i, value, request.invoked, answered);
      }
    }
  }

  @Test
  @Timeout(300)
  void eachOf256ConnectionsReadsBackWhatItHasWritten() throws Exception {
    serve(
        Durability.ACK,
        socket -> {
          List<Callable<Integer>> clients = new ArrayList<>();
          for (int i = 0; i < FULL_CONNECTIONS; i++) {
            int number = i;
            clients.add(() -> writeAndReadBack(socket, number));
          }
          all(clients);
        });
  }

  private int writeAndReadBack(Path socket, int number) throws IOException {
    int sectors = DEVICE_BYTES / Stamp.SECTOR_BYTES / FULL_CONNECTIONS;
    int first = number * sectors;
    try (NbdClient client = NbdClient.unix(socket)) {
      client.go("");
      for (int round = 1; round <= ROUNDS; round++) {
        byte[] data = stamp.payload(round, number, first, sectors);
        client.write((long) first * Stamp.SECTOR_BYTES, data);
        assertArrayEquals(data, client.read((long) first * Stamp.SECTOR_BYTES, data.length));
      }
      client.disconnect();
    }
    return ROUNDS;
  }
}
