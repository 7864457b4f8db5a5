package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jpcache.Seeds;
import jpcache.base.Errno;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Format;
import jpcache.nbd.NbdClient.Reply;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Several clients, each with its own part of the device and many requests in flight, against
 * arrays: reads and writes of all sizes, some of which miss and come back late from another thread,
 * some of which fail, in whatever order they are answered.
 *
 * <p>Requests in flight that overlap have no order, so a client never has such two, unless both
 * read.
 */
@Timeout(300)
class NbdPipelinePropertyTest {
  private static final int CLIENTS = 3;
  private static final int PART_BYTES = 4 << 20;
  private static final int REQUESTS = 600;

  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Pending(int type, int from, int to, byte @Nullable [] expected, boolean bad) {}

  @ParameterizedTest(name = "{0}, tcp {1}, depth {2}, up to {3} bytes, replies in {4} bytes")
  @CsvSource({
    "SIMPLE, false, 32, 16384, 67108864",
    "SIMPLE, true, 32, 16384, 67108864",
    "EXTENDED, false, 8, 2097152, 67108864",
    "STRUCTURED, true, 8, 2097152, 67108864",
    "SIMPLE, false, 200, 4096, 1048576",
    "EXTENDED, false, 200, 4096, 1048576",
    "SIMPLE, true, 24, 524288, 1048576",
    "STRUCTURED, true, 12, 262144, 1048576",
  })
  void answersEveryRequestAsAnArrayWould(
      Format format, boolean tcp, int depth, int maxBytes, int replyBytes) throws Exception {
    long seed = Seeds.next(NbdPipelinePropertyTest.class);
    MemoryBlockDevice device = new MemoryBlockDevice((long) CLIENTS * PART_BYTES);
    device.missWhen((offset, length) -> (((offset / 512) * 0x9E3779B97F4A7C15L) >>> 60) < 5);
    byte[][] models = new byte[CLIENTS][];
    try (ServedMemory served = ServedMemory.start(device, o -> o.withReplyBytes(replyBytes));
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS)) {
      List<Future<byte[]>> results = new ArrayList<>();
      for (int i = 0; i < CLIENTS; i++) {
        int part = i;
        Callable<byte[]> client =
            () ->
                new Client(served, format, tcp, part, new Random(seed + part), depth, maxBytes)
                    .run();
        results.add(threads.submit(client));
      }
      for (int i = 0; i < CLIENTS; i++) {
        models[i] = results.get(i).get();
      }
      for (int i = 0; i < CLIENTS; i++) {
        assertArrayEquals(
            models[i],
            device
                .bytes()
                .asSlice((long) i * PART_BYTES, PART_BYTES)
                .toArray(ValueLayout.JAVA_BYTE),
            "seed " + seed);
      }
    } catch (Exception | AssertionError e) {
      throw new AssertionError("seed " + seed, e);
    }
  }

  private static final class Client {
    private final ServedMemory served;
    private final Format format;
    private final boolean tcp;
    private final long base;
    private final Random random;
    private final int depth;
    private final int maxBytes;
    private final byte[] model = new byte[PART_BYTES];
    private final Map<Long, Pending> inFlight = new HashMap<>();

    Client(
        ServedMemory served,
        Format format,
        boolean tcp,
        int part,
        Random random,
        int depth,
        int maxBytes) {
      this.served = served;
      this.format = format;
      this.tcp = tcp;
      this.base = (long) part * PART_BYTES;
      this.random = random;
      this.depth = depth;
      this.maxBytes = maxBytes;
    }

    byte[] run() throws IOException {
      try (NbdClient client = served.client(tcp)) {
        client.go("", format);
        for (int sent = 0; sent < REQUESTS; ) {
          int burst = random.nextInt(1, depth + 1);
          while (inFlight.size() < burst && sent < REQUESTS) {
            send(client);
            sent++;
          }
          int left = random.nextInt(inFlight.size());
          while (inFlight.size() > left) {
            receive(client);
          }
        }
        client.disconnect();
        while (!inFlight.isEmpty()) {
          receive(client);
        }
      }
      return model;
    }

    private void send(NbdClient client) throws IOException {
      int length = 512 * random.nextInt(1, maxBytes / 512 + 1);
      int from = 512 * random.nextInt((PART_BYTES - length) / 512 + 1);
      int kind = random.nextInt(20);
      boolean write = kind < 9;
      if (kind == 19) {
        inFlight.put(client.sendFlush(), new Pending(NbdClient.FLUSH, 0, 0, null, false));
      } else if (kind == 18) { // a write past the device's end, whose payload is thrown away
        long cookie = client.sendWrite((long) CLIENTS * PART_BYTES, new byte[length], false);
        inFlight.put(cookie, new Pending(NbdClient.WRITE, 0, 0, null, true));
      } else if (overlaps(from, from + length, write)) {
        inFlight.put(client.sendFlush(), new Pending(NbdClient.FLUSH, 0, 0, null, false));
      } else if (write && kind < 4) {
        Arrays.fill(model, from, from + length, (byte) 0);
        int type = kind < 2 ? NbdClient.TRIM : NbdClient.WRITE_ZEROES;
        int flags = random.nextInt(type == NbdClient.TRIM ? 2 : 4); // FUA, NO_HOLE
        long cookie = client.sendRequest(type, flags, base + from, length, new byte[0]);
        inFlight.put(cookie, new Pending(NbdClient.WRITE, from, from + length, null, false));
      } else if (write) {
        byte[] data = new byte[length];
        random.nextBytes(data);
        System.arraycopy(data, 0, model, from, length);
        long cookie = client.sendWrite(base + from, data, random.nextBoolean());
        inFlight.put(cookie, new Pending(NbdClient.WRITE, from, from + length, null, false));
      } else {
        byte[] expected = Arrays.copyOfRange(model, from, from + length);
        long cookie = client.sendRead(base + from, length);
        inFlight.put(cookie, new Pending(NbdClient.READ, from, from + length, expected, false));
      }
    }

    private boolean overlaps(int from, int to, boolean write) {
      return inFlight.values().stream()
          .anyMatch(p -> p.from < to && from < p.to && (write || p.type == NbdClient.WRITE));
    }

    private void receive(NbdClient client) throws IOException {
      Reply reply = client.receive();
      Pending request = inFlight.remove(reply.cookie());
      if (request == null) {
        throw new AssertionError("a reply to no request: " + reply.cookie());
      }
      assertEquals(request.bad ? Errno.ENOSPC : 0, reply.error());
      if (request.expected != null) {
        assertArrayEquals(request.expected, reply.data());
      }
    }
  }
}
