package jpcache.process;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a device may hold after its server died, by nothing but the answers that its clients got.
 *
 * <p>Each sector is a register. Two writes are ordered only if one was answered before the other
 * was sent; otherwise either may be the later, as NBD has it. So a sector may hold any write that
 * was sent, answered or not, unless a <em>durable</em> one was sent after that write was answered.
 * Where writes to a place never overlap in time, that leaves the last durable write and those after
 * it; where they do, any of the concurrent ones.
 *
 * <p>A write is durable by its answer, or, with {@link Durability#FLUSH}, by FUA or by the answer
 * to a flush that was sent after the write was answered. An answer that is an error ends a write
 * without making it durable: its sectors may hold it or not.
 *
 * <p>Times are ticks of one counter. Call {@link #sent} before the first byte goes out and the
 * others after the answer has come in, so that the order here never claims more than happened. All
 * methods may be called from any thread.
 */
final class AcknowledgementModel {
  /** When the server promises that an acknowledged write survives it. */
  enum Durability {
    ACK,
    FLUSH
  }

  /** The id of what every sector holds before the first write. */
  static final long INITIAL = 0;

  private static final long NEVER = Long.MAX_VALUE;

  /** One write on its way. */
  static final class Write {
    final long id;
    final int firstSector;
    final int sectors;
    private final int connection;
    private final boolean fua;
    private final long sentAt;
    private long answeredAt = NEVER;

    private Write(long id, int connection, int firstSector, int sectors, boolean fua, long sentAt) {
      this.id = id;
      this.connection = connection;
      this.firstSector = firstSector;
      this.sectors = sectors;
      this.fua = fua;
      this.sentAt = sentAt;
    }

    @Override
    public String toString() {
      return id == INITIAL
          ? "initial"
          : id + (answeredAt == NEVER ? " (unanswered)" : " (answered)");
    }
  }

  /** One flush on its way. */
  record Flush(int connection, long sentAt) {}

  /** What a read that is on its way may find: what was possible when it was sent, or later. */
  static final class Read {
    private final int firstSector;
    private final Write[][] permitted;
    private final long lastIdBefore;

    private Read(int firstSector, Write[][] permitted, long lastIdBefore) {
      this.firstSector = firstSector;
      this.permitted = permitted;
      this.lastIdBefore = lastIdBefore;
    }

    boolean permits(int sector, long id) {
      return id > lastIdBefore || find(permitted[sector - firstSector], id) != null;
    }
  }

  private final Durability durability;
  private final boolean flushCoversAllConnections;

  /** By sector: the writes that it may hold. Never empty; arrays are shared until changed. */
  private final Write[][] permitted;

  /** Acknowledged, waiting for a flush. */
  private final List<Write> volatileWrites = new ArrayList<>();

  private long clock;
  private long lastId = INITIAL;

  /**
   * @param flushCoversAllConnections whether a flush covers what other connections had answered, as
   *     a server promises by NBD_FLAG_CAN_MULTI_CONN
   */
  AcknowledgementModel(int sectors, Durability durability, boolean flushCoversAllConnections) {
    this.durability = durability;
    this.flushCoversAllConnections = flushCoversAllConnections;
    this.permitted = new Write[sectors][];
    Write initial = new Write(INITIAL, -1, 0, sectors, false, clock++);
    initial.answeredAt = clock++;
    Arrays.fill(permitted, new Write[] {initial});
  }

  int sectors() {
    return permitted.length;
  }

  /** A write is about to be sent: from now on its sectors may hold it. */
  synchronized Write sent(int connection, int firstSector, int sectors, boolean fua) {
    Write write = new Write(++lastId, connection, firstSector, sectors, fua, clock++);
    for (int sector = firstSector; sector < firstSector + sectors; sector++) {
      Write[] before = permitted[sector];
      Write[] after = Arrays.copyOf(before, before.length + 1);
      after[before.length] = write;
      permitted[sector] = after;
    }
    return write;
  }

  /** The write was answered without an error. */
  synchronized void acknowledged(Write write) {
    write.answeredAt = clock++;
    if (durability == Durability.ACK || write.fua) {
      durable(write);
    } else {
      volatileWrites.add(write);
    }
  }

  /** The write was answered with an error. */
  synchronized void refused(Write write) {
    write.answeredAt = clock++;
  }

  /** A flush is about to be sent. */
  synchronized Flush flushSent(int connection) {
    return new Flush(connection, clock++);
  }

  /** The flush was answered without an error. */
  synchronized void acknowledged(Flush flush) {
    volatileWrites.removeIf(write -> {
      boolean covered =
          write.answeredAt < flush.sentAt
              && (flushCoversAllConnections || write.connection == flush.connection);
      if (covered) {
        durable(write);
      }
      return covered;
    });
  }

  /** A read is about to be sent. */
  synchronized Read readSent(int firstSector, int sectors) {
    Write[][] now = Arrays.copyOfRange(permitted, firstSector, firstSector + sectors);
    return new Read(firstSector, now, lastId);
  }

  /** The server is gone with all its connections: nothing that was sent can happen any more. */
  synchronized void serverDied() {
    volatileWrites.clear();
  }

  /** Whether the sector may hold this write. */
  synchronized boolean permits(int sector, long id) {
    return find(permitted[sector], id) != null;
  }

  /**
   * After {@link #serverDied}: the sector was read and held this write, so from now on it must hold
   * this and nothing else until it is written again.
   *
   * @throws IllegalArgumentException if the write is not permitted
   */
  synchronized void settle(int sector, long id) {
    Write found = find(permitted[sector], id);
    if (found == null) {
      throw new IllegalArgumentException("sector " + sector + ": " + id + " is not permitted");
    }
    if (found.answeredAt == NEVER) {
      found.answeredAt = clock++;
    }
    permitted[sector] = new Write[] {found};
  }

  /** What the sector may hold, for a message. */
  synchronized String expected(int sector) {
    return Arrays.toString(permitted[sector]);
  }

  private static @Nullable Write find(Write[] writes, long id) {
    for (Write write : writes) {
      if (write.id == id) {
        return write;
      }
    }
    return null;
  }

  /** Whatever was answered before this write was sent is history. */
  private void durable(Write write) {
    for (int s = write.firstSector; s < write.firstSector + write.sectors; s++) {
      permitted[s] =
          Arrays.stream(permitted[s])
              .filter(other -> other.answeredAt >= write.sentAt)
              .toArray(Write[]::new);
    }
  }
}
