package jpcache.process;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import jpcache.nbd.NbdClient;
import jpcache.process.AcknowledgementModel.Flush;
import jpcache.process.AcknowledgementModel.Read;
import jpcache.process.AcknowledgementModel.Write;

/**
 * One client under load: keeps {@link #DEPTH} random requests in flight until the server goes away,
 * and tells the model what it sent and what was answered.
 *
 * <p>A connection either writes and flushes or reads: with one thread, one that did both could be
 * stuck in sending while the server is stuck in answering. Two thirds of the writes go to a region
 * of their connection's own, where they never overlap one that is in flight, so that their order is
 * known; the others to a region that all share. Reads are checked as they come.
 *
 * <p>One thread, that of {@link #call}.
 */
final class LoadConnection implements Callable<LoadConnection.Count> {
  static final int DEPTH = 32;

  private static final int NBD_ENOSPC = 28;
  static final int MAX_SECTORS = (256 << 10) / Stamp.SECTOR_BYTES;

  /** What a connection asks for. */
  enum Role {
    WRITES,
    READS
  }

  /** Sectors {@code first} to {@code first + sectors - 1}. */
  record Region(int first, int sectors) {
    boolean overlaps(Region other) {
      return first < other.first + other.sectors && other.first < first + sectors;
    }
  }

  /**
   * Where a connection works, and on what.
   *
   * @param unitSectors the export's minimum block: offsets and lengths are multiples of it
   */
  record Part(int connection, Role role, Region own, Region shared, int unitSectors) {}

  /** What one connection did. */
  record Count(long acknowledged, long unanswered, long refused, long reads) {
    Count plus(Count other) {
      return new Count(
          acknowledged + other.acknowledged,
          unanswered + other.unanswered,
          refused + other.refused,
          reads + other.reads);
    }
  }

  private sealed interface Request {
    record Writing(Write write, Region region) implements Request {}

    record Reading(Read read, Region region) implements Request {}

    record Flushing(Flush flush) implements Request {}
  }

  private final Part part;
  private final NbdClient client;
  private final AcknowledgementModel model;
  private final Stamp stamp;
  private final SplittableRandom random;
  private final Progress progress;
  private final Map<Long, Request> inFlight = new HashMap<>();
  private Count count = new Count(0, 0, 0, 0);

  /** The client is in transmission; it is closed at the end of {@link #call}. */
  LoadConnection(
      Part part,
      NbdClient client,
      AcknowledgementModel model,
      Stamp stamp,
      SplittableRandom random,
      Progress progress) {
    this.part = part;
    this.client = client;
    this.model = model;
    this.stamp = stamp;
    this.random = random;
    this.progress = progress;
  }

  /** Returns when the server is gone, or the cache is full and all is answered. */
  @Override
  public Count call() throws IOException {
    try (client) {
      try {
        while (!progress.isFull()) {
          while (inFlight.size() < DEPTH) {
            sendOne();
          }
          receiveOne();
        }
      } catch (IOException e) {
        progress.connectionLost(e);
      }
      receiveTheRest();
    }
    return count;
  }

  /** Answers that the server sent before it died count, although they are read after. */
  private void receiveTheRest() {
    try {
      while (!inFlight.isEmpty()) {
        receiveOne();
      }
    } catch (IOException e) {
      progress.connectionLost(e);
      long writes = inFlight.values().stream().filter(r -> r instanceof Request.Writing).count();
      count = count.plus(new Count(0, writes, 0, 0));
    }
  }

  private void sendOne() throws IOException {
    int dice = random.nextInt(100);
    if (part.role == Role.READS) {
      Region region = pick();
      Read read = model.readSent(region.first, region.sectors);
      long cookie = client.sendRead(bytes(region.first), region.sectors * Stamp.SECTOR_BYTES);
      inFlight.put(cookie, new Request.Reading(read, region));
    } else if (dice < 2) {
      Flush flush = model.flushSent(part.connection);
      inFlight.put(client.sendFlush(), new Request.Flushing(flush));
    } else {
      Region region = pick();
      boolean fua = dice < 12;
      Write write = model.sent(part.connection, region.first, region.sectors, fua);
      byte[] payload = stamp.payload(write.id, part.connection, region.first, region.sectors);
      long cookie = client.sendWrite(bytes(region.first), payload, fua);
      inFlight.put(cookie, new Request.Writing(write, region));
    }
  }

  private Region pick() {
    if (random.nextInt(3) == 0) {
      return pickIn(part.shared);
    }
    Region region = pickIn(part.own);
    while (isInFlight(region)) {
      region = pickIn(part.own);
    }
    return region;
  }

  /** Mostly small, now and then up to 256 KiB, any multiple of the minimum block. */
  private Region pickIn(Region within) {
    int dice = random.nextInt(10);
    int largest = dice < 6 ? 8 : dice < 9 ? 64 : MAX_SECTORS;
    int unit = part.unitSectors;
    int units = 1 + random.nextInt(Math.max(1, largest / unit));
    int lastUnit = within.sectors / unit - units;
    return new Region(within.first + unit * random.nextInt(lastUnit + 1), units * unit);
  }

  private boolean isInFlight(Region region) {
    return inFlight.values().stream()
        .anyMatch(r -> r instanceof Request.Writing(Write _, Region w) && w.overlaps(region));
  }

  private void receiveOne() throws IOException {
    NbdClient.Reply reply = client.receive();
    Request request = inFlight.remove(reply.cookie());
    switch (request) {
      case null -> progress.mistake("an answer to no request, cookie " + reply.cookie());
      case Request.Writing(Write write, Region _) when reply.error() == NBD_ENOSPC -> {
        model.refused(write);
        progress.full();
        count = count.plus(new Count(0, 0, 1, 0));
      }
      case Request _ when reply.error() != 0 ->
          progress.mistake("error " + reply.error() + " for " + request);
      case Request.Writing(Write write, Region _) -> {
        model.acknowledged(write);
        progress.acknowledged();
        count = count.plus(new Count(1, 0, 0, 0));
      }
      case Request.Flushing(Flush flush) -> model.acknowledged(flush);
      case Request.Reading(Read read, Region region) -> {
        check(read, region, reply.data());
        count = count.plus(new Count(0, 0, 0, 1));
      }
    }
  }

  private void check(Read read, Region region, byte[] data) {
    ByteBuffer bytes = ByteBuffer.wrap(data);
    for (int i = 0; i < region.sectors; i++) {
      int at = i * Stamp.SECTOR_BYTES;
      int sector = region.first + i;
      long id = stamp.read(bytes, at, sector);
      if (!read.permits(sector, id)) {
        String found = id == Stamp.BROKEN ? stamp.describe(bytes, at, sector) : "write " + id;
        progress.mistake("a read under load of sector " + sector + " gave " + found);
        return;
      }
    }
  }

  private static long bytes(int sectors) {
    return (long) sectors * Stamp.SECTOR_BYTES;
  }
}
