package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import jpcache.Sha256;
import jpcache.process.AcknowledgementModel.Durability;
import jpcache.process.LoadConnection.Count;

/**
 * Kills a server under load, again and again, and checks after each kill that the device holds what
 * the answers promised.
 *
 * <p>A round: a server that must give the bytes of the last round; load; SIGKILL at a random
 * moment; now and then a second SIGKILL while the next server starts; a server that is read whole
 * and compared with the model; its orderly end; {@code view}, which must give the same bytes.
 * Rounds go on with the same cache until it is full, then with a fresh one.
 *
 * <p>The seed decides the requests and about when the kill comes; how they interleave is the
 * machine's.
 */
final class KillTorture {
  private static final int DEVICE_BYTES = 64 << 20;
  private static final int SECTORS = DEVICE_BYTES / Stamp.SECTOR_BYTES;
  private static final int CHUNK_BYTES = 1 << 20;
  private static final int MAX_ACKNOWLEDGEMENTS = 20_000;
  private static final int MAX_START_MS = 600;

  private final Media media;
  private final Path scratch;
  private final Durability durability;
  private final SplittableRandom random;
  private final Stamp stamp;
  private AcknowledgementModel model;

  /** The bytes that every server and view must give until there is load again. */
  private String sha256 = "";

  KillTorture(Media media, Path scratch, Durability durability, long seed) {
    this.media = media;
    this.scratch = scratch;
    this.durability = durability;
    this.random = new SplittableRandom(seed);
    this.stamp = new Stamp(seed);
    this.model = freshModel();
  }

  /** Runs the rounds, and prints a line for each. */
  void run(int rounds) throws IOException {
    boolean full = true;
    for (int round = 1; round <= rounds; round++) {
      if (full) {
        begin();
      }
      Progress progress = new Progress(1 + random.nextInt(MAX_ACKNOWLEDGEMENTS));
      Count count = loadAndKill(progress);
      assertEquals(List.of(), progress.mistakes(), "under load");
      boolean twice = random.nextBoolean();
      if (twice) {
        killWhileItStarts();
      }
      compareWithModel();
      assertEquals(sha256, media.viewSha256(scratch), "view after the kill");
      full = progress.isFull();
      System.out.printf(
          "kill -9, durability %s, round %d of %d: %d writes acknowledged, %d unanswered, %d"
              + " refused, %d reads checked%s%s: all is there%n",
          durabilityOption(),
          round,
          rounds,
          count.acknowledged(),
          count.unanswered(),
          count.refused(),
          count.reads(),
          twice ? ", killed again while it started" : "",
          full ? ", the cache was full" : "");
    }
    try (Server server = start()) {
      assertEquals(sha256, Export.sha256(media.socket()), "a second restart");
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  /** Fresh media: every sector of the backing file says that it was never written. */
  private void begin() throws IOException {
    try (OutputStream out = Files.newOutputStream(media.backing())) {
      int sectors = CHUNK_BYTES / Stamp.SECTOR_BYTES;
      for (int first = 0; first < SECTORS; first += sectors) {
        out.write(stamp.payload(AcknowledgementModel.INITIAL, -1, first, sectors));
      }
    }
    if (random.nextBoolean()) {
      media.formatted("1G", "--data-crc");
    } else {
      media.formatted("1G");
    }
    model = freshModel();
    sha256 = Sha256.of(media.backing());
  }

  private AcknowledgementModel freshModel() {
    return new AcknowledgementModel(SECTORS, durability, true);
  }

  private Count loadAndKill(Progress progress) throws IOException {
    try (Server server = start()) {
      assertEquals(sha256, Export.sha256(media.socket()), "a restart");
      Load load = Load.start(media.socket(), model, stamp, random.split(), progress);
      progress.awaitTimeToKill();
      server.kill();
      Count count = load.finish();
      model.serverDied();
      return count;
    }
  }

  /** Replay and whatever else a start does must bear a kill, too. */
  private void killWhileItStarts() {
    try (Server server = Server.launch(serveOptions())) {
      server.awaitReadyAtMost(random.nextInt(MAX_START_MS));
      server.kill();
    }
  }

  private void compareWithModel() throws IOException {
    try (Server server = start()) {
      Readback readback = new Readback(model, stamp);
      sha256 =
          Export.read(
              media.socket(),
              (offset, chunk) -> readback.check((int) (offset / Stamp.SECTOR_BYTES), chunk));
      assertEquals(List.of(), readback.mistakes(), "after the kill");
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  private Server start() {
    Server server = Server.start(serveOptions());
    assertEquals(DEVICE_BYTES, server.sizeBytes());
    return server;
  }

  private String[] serveOptions() {
    return media.serveOptions("--durability", durabilityOption());
  }

  private String durabilityOption() {
    return durability.name().toLowerCase(Locale.ROOT);
  }
}
