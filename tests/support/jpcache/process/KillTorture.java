package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import jpcache.Sha256;
import jpcache.process.AcknowledgementModel.Durability;
import jpcache.process.LoadConnection.Count;

/**
 * Kills a server under load, again and again, and checks after each kill that the device holds what
 * the answers promised.
 *
 * <p>A round: a server that must give the bytes of the last round; load, under which the server may
 * be stopped and continued; SIGKILL at a random moment; now and then a second SIGKILL while the
 * next server starts; a check of the media, as the kill left them, by {@code fsck}'s rules; a
 * server that is read whole and compared with the model; its orderly end and another check; {@code
 * view}, which must give the same bytes. Rounds go on with the same cache until it is full, then
 * with a fresh one.
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
  private static final int MAX_PAUSES = 3;
  private static final int MAX_PAUSE_MS = 300;

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

  /** Runs so many rounds, or those that fit into so many seconds, and prints a line for each. */
  void run(int rounds, int seconds) throws IOException {
    boolean full = true;
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    for (int round = 1; round <= rounds || System.nanoTime() < end; round++) {
      if (full) {
        begin();
      }
      Progress progress = new Progress(1 + random.nextInt(MAX_ACKNOWLEDGEMENTS));
      int pauses = random.nextInt(MAX_PAUSES);
      Count count = loadAndKill(progress, pauses);
      assertEquals(List.of(), progress.mistakes(), "under load");
      boolean twice = random.nextBoolean();
      if (twice) {
        killWhileItStarts();
      }
      media.requireSound("after the kill");
      compareWithModel();
      media.requireSound("after an orderly stop");
      assertEquals(sha256, media.viewSha256(scratch), "view after the kill");
      full = progress.isFull();
      System.out.printf(
          "kill -9, durability %s, round %d: %d writes acknowledged, %d unanswered, %d"
              + " refused, %d reads checked%s%s%s: all is there%n",
          durabilityOption(),
          round,
          count.acknowledged(),
          count.unanswered(),
          count.refused(),
          count.reads(),
          pauses > 0 ? ", stopped and continued " + pauses + " times" : "",
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

  /**
   * @param pauses how often the server stands still under the load, for a moment
   */
  private Count loadAndKill(Progress progress, int pauses) throws IOException {
    try (Server server = start()) {
      assertEquals(sha256, Export.sha256(media.socket()), "a restart");
      Load load = Load.start(media.socket(), model, stamp, random.split(), progress);
      for (int i = 0; i < pauses; i++) {
        server.signal("STOP");
        progress.awaitTimeToKillAtMost(1 + random.nextInt(MAX_PAUSE_MS));
        server.signal("CONT");
      }
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
