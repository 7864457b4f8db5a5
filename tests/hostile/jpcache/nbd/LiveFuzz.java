package jpcache.nbd;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import jpcache.Seeds;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.Format;

/**
 * Throws sessions at a live server that begin as honest ones and are then bent: fields set to
 * values at the edges of their types, bits flipped, pieces cut out, repeated and put in, the whole
 * sent in any pieces, replies read or not, and the connection ended in each way there is.
 *
 * <p>All the while an honest client works on another export: it must get every byte right, and no
 * answer late. In the end nothing may be left of the others ({@link ServedMemory} counts).
 *
 * <p>As a program: {@code LiveFuzz SECONDS [SEED]}; it prints one line, and why it failed.
 */
public final class LiveFuzz {
  private static final int FUZZERS = 3;
  private static final int MIB = 1 << 20;

  /** What the honest client may have to wait for an answer, on a machine with other work. */
  private static final long PATIENCE_NANOS = 60_000_000_000L;

  private static final int[] EDGES = {
    0,
    1,
    2,
    7,
    511,
    512,
    4096,
    65535,
    65536,
    (32 << 20) - 1,
    32 << 20,
    (32 << 20) + 512,
    (128 << 20) + 1,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    -1,
    -512
  };

  private static final List<Format> FORMATS = List.of(Format.values());

  private final long seed;
  private final long endNanos;
  private final AtomicLong sessions = new AtomicLong();
  private final AtomicLong answers = new AtomicLong();
  private final AtomicLong slowestNanos = new AtomicLong();

  private LiveFuzz(long seed, int seconds) {
    this.seed = seed;
    this.endNanos = System.nanoTime() + seconds * 1_000_000_000L;
  }

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws Exception {
    long seed = args.length > 1 ? Long.parseLong(args[1]) : Seeds.next(LiveFuzz.class);
    System.out.println(run(seed, Integer.parseInt(args[0])));
  }

  /** Fuzzes for so long; returns a line that tells what was done. */
  static String run(long seed, int seconds) throws Exception {
    LiveFuzz fuzz = new LiveFuzz(seed, seconds);
    try (MemoryBlockDevice honest = new MemoryBlockDevice(MIB)) {
      MemoryBlockDevice victim = new MemoryBlockDevice(4 * MIB);
      victim.missWhen((offset, length) -> offset % 3 == 0);
      victim.failWhen((o, n) -> o % 7 == 1, (o, n) -> o % 5 == 1, 5);
      List<Export> exports = List.of(Export.of("victim", victim), Export.of("honest one", honest));
      try (ServedMemory served =
              ServedMemory.start(victim, o -> o.withReplyBytes(2 * MIB), exports);
          ExecutorService threads = Executors.newFixedThreadPool(FUZZERS + 1)) {
        List<Callable<Void>> all = new ArrayList<>();
        all.add(() -> fuzz.beHonest(served));
        for (int i = 0; i < FUZZERS; i++) {
          Random random = new Random(seed + i);
          all.add(() -> fuzz.bend(served, random));
        }
        for (Future<Void> result : threads.invokeAll(all)) {
          result.get();
        }
        ServedMemory.eventually("no connection", () -> served.server.connections() == 0);
      }
    } catch (Exception | AssertionError e) {
      throw new AssertionError("seed " + seed, e);
    }
    return String.format(
        "%d bent sessions in %d s; %d honest answers, the slowest after %d ms (seed %d)",
        fuzz.sessions.get(),
        seconds,
        fuzz.answers.get(),
        fuzz.slowestNanos.get() / 1_000_000,
        seed);
  }

  private boolean goesOn() {
    return System.nanoTime() < endNanos;
  }

  // ---- The honest client -------------------------------------------------------------------

  private Void beHonest(ServedMemory served) throws IOException {
    Random random = new Random(seed);
    byte[] model = new byte[MIB];
    while (goesOn()) {
      try (NbdClient client = served.client(random.nextBoolean())) {
        client.go("honest one", FORMATS.get(random.nextInt(FORMATS.size())));
        for (int i = 0; i < 200 && goesOn(); i++) {
          int length = 512 * random.nextInt(1, 64);
          int at = 512 * random.nextInt((MIB - length) / 512);
          byte[] data = new byte[length];
          random.nextBytes(data);
          System.arraycopy(data, 0, model, at, length);
          long begin = System.nanoTime();
          client.write(at, data);
          if (!Arrays.equals(client.read(at, length), data)) {
            throw new IOException("the honest client reads something else than it wrote");
          }
          long took = System.nanoTime() - begin;
          slowestNanos.accumulateAndGet(took, Math::max);
          if (took > PATIENCE_NANOS) {
            throw new IOException("the honest client waited " + took / 1_000_000 + " ms");
          }
          answers.addAndGet(2);
        }
        if (!Arrays.equals(client.read(0, MIB), model)) {
          throw new IOException("the honest client's export has changed");
        }
        client.disconnect();
      }
    }
    return null;
  }

  // ---- The others --------------------------------------------------------------------------

  private Void bend(ServedMemory served, Random random) throws IOException {
    while (goesOn()) {
      byte[] session = session(random);
      for (int i = random.nextInt(4); i > 0; i--) {
        session = bent(random, session);
      }
      try (NbdClient client = served.client(random.nextBoolean())) {
        play(client, random, session);
      }
      sessions.incrementAndGet();
    }
    return null;
  }

  private void play(NbdClient client, Random random, byte[] session) throws IOException {
    client.raw().configureBlocking(false);
    ByteBuffer out = ByteBuffer.wrap(session).limit(0);
    ByteBuffer in = ByteBuffer.allocate(1 << 16);
    boolean reads = random.nextInt(4) > 0;
    int piece = random.nextInt(3) == 0 ? 1 + random.nextInt(40) : session.length;
    int idle = 0;
    try {
      while (idle < 20 && goesOn()) {
        out.limit(Math.min(session.length, Math.max(out.limit(), out.position() + piece)));
        int moved = client.raw().write(out);
        int read = reads ? client.raw().read(in.clear()) : 0;
        if (read < 0) {
          return; // the server has enough
        }
        idle = moved + read > 0 ? 0 : idle + 1;
        if (idle > 0) {
          LockSupport.parkNanos(200_000);
        }
      }
      end(client, random);
    } catch (IOException e) {
      // A reset: the server closed while more was on its way.
    }
  }

  private static void end(NbdClient client, Random random) throws IOException {
    switch (random.nextInt(3)) {
      case 0 -> client.raw().shutdownOutput();
      case 1 -> {
        if (client.raw().supportedOptions().contains(StandardSocketOptions.SO_LINGER)) {
          client.raw().setOption(StandardSocketOptions.SO_LINGER, 0); // a reset
        }
      }
      default -> {}
    }
  }

  /** What an honest client sends from its first byte to its last. */
  private static byte[] session(Random random) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(ByteBuffer.allocate(4).putInt(random.nextInt(8) == 0 ? 1 : 3).array());
    Format format = Format.SIMPLE;
    for (int i = random.nextInt(5); i > 0; i--) {
      int option = new int[] {3, 5, 6, 8, 9, 10, 11}[random.nextInt(7)];
      if (option == 8 && format == Format.SIMPLE) {
        format = Format.STRUCTURED;
      } else if (option == 11) {
        format = Format.EXTENDED;
      }
      option(out, option, random);
    }
    option(out, random.nextInt(10) == 0 ? 1 : 7, random);
    for (int i = random.nextInt(30); i > 0; i--) {
      request(out, format, random);
    }
    return out.toByteArray();
  }

  private static void option(ByteArrayOutputStream out, int option, Random random) {
    byte[] data =
        switch (option) {
          case 1 -> "victim".getBytes(StandardCharsets.UTF_8);
          case 6, 7 -> NbdClient.infoRequest(random.nextBoolean() ? "" : "victim", 1, 2, 3);
          case 9, 10 -> NbdClient.contextRequest("victim", "base:allocation", "jpcache:state");
          default -> new byte[0];
        };
    out.writeBytes(
        ByteBuffer.allocate(16 + data.length)
            .putLong(0x49484156454F5054L)
            .putInt(option)
            .putInt(data.length)
            .put(data)
            .array());
  }

  private static void request(ByteArrayOutputStream out, Format format, Random random) {
    int type = random.nextInt(8);
    int length = 512 * (1 + random.nextInt(random.nextInt(4) == 0 ? 4096 : 16));
    byte[] payload = new byte[type == NbdClient.WRITE ? length : 0];
    ByteBuffer bytes =
        NbdClient.request(
            format,
            type == NbdClient.DISC && random.nextInt(10) > 0 ? NbdClient.READ : type,
            random.nextInt(3) == 0 ? 1 << random.nextInt(6) : 0,
            random.nextLong(),
            512L * random.nextInt(4 * MIB / 512),
            type == NbdClient.FLUSH ? 0 : length,
            payload);
    byte[] plain = new byte[bytes.remaining()];
    bytes.get(plain);
    out.writeBytes(plain);
  }

  private static byte[] bent(Random random, byte[] session) {
    if (session.length < 16) {
      return session;
    }
    int at = random.nextInt(random.nextBoolean() ? session.length : Math.min(200, session.length));
    int length = Math.min(session.length - at, 1 + random.nextInt(64));
    byte[] result = session.clone();
    switch (random.nextInt(6)) {
      case 0 -> result[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> {
        if (at + 4 <= session.length) {
          ByteBuffer.wrap(result).putInt(at, EDGES[random.nextInt(EDGES.length)]);
        }
      }
      case 2 -> result = Arrays.copyOf(session, at);
      case 3 -> result = spliced(session, at, at + length, new byte[0]); // cut out
      case 4 -> result = spliced(session, at, at, Arrays.copyOfRange(session, at, at + length));
      default -> {
        byte[] noise = new byte[length];
        random.nextBytes(noise);
        result = spliced(session, at, at, noise);
      }
    }
    return result;
  }

  private static byte[] spliced(byte[] session, int from, int to, byte[] between) {
    byte[] result = new byte[session.length - (to - from) + between.length];
    System.arraycopy(session, 0, result, 0, from);
    System.arraycopy(between, 0, result, from, between.length);
    System.arraycopy(session, to, result, from + between.length, session.length - to);
    return result;
  }
}
