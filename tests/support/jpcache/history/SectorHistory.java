package jpcache.history;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * What several clients did to a row of sectors. Each sector is a register of its own: a request of
 * many sectors is as many operations, since a device promises no more. Linearizability is local, so
 * a history is linearizable if that of every sector is.
 *
 * <p>Every client has a {@link Recorder}. {@link #tick} comes right before a request is sent and
 * right after its answer has come in, so that the order here never claims more than happened.
 */
public final class SectorHistory {
  private static final int FIELDS = 4;
  private static final int WRITE = 1;
  private static final int SHIFT = 1;

  private final int sectors;
  private final AtomicLong clock = new AtomicLong();
  private final AtomicLong values = new AtomicLong(Register.INITIAL);
  private final List<Recorder> recorders = new ArrayList<>();

  public SectorHistory(int sectors) {
    this.sectors = sectors;
  }

  /** The time: later than whatever any thread has got before. */
  public long tick() {
    return clock.incrementAndGet();
  }

  /** A value that no other write has. */
  public long newValue() {
    return values.incrementAndGet();
  }

  /** For one more client. */
  public synchronized Recorder recorder() {
    Recorder recorder = new Recorder();
    recorders.add(recorder);
    return recorder;
  }

  /** What one client did. Used by its thread. */
  public static final class Recorder {
    /** Operations, each sector and kind, value, invocation, response. */
    private long[] log = new long[1 << 12];

    private int used;

    private Recorder() {}

    /** A write of one value to some sectors; {@link Register#NEVER} if there was no answer. */
    public void wrote(int sector, int count, long value, long invoked, long answered) {
      for (int s = sector; s < sector + count; s++) {
        add(s, WRITE, value, invoked, answered);
      }
    }

    /** A read that found a value in a sector. */
    public void read(int sector, long value, long invoked, long answered) {
      add(sector, 0, value, invoked, answered);
    }

    private void add(int sector, int kind, long value, long invoked, long answered) {
      if (used == log.length) {
        log = Arrays.copyOf(log, 2 * used);
      }
      log[used] = (long) sector << SHIFT | kind;
      log[used + 1] = value;
      log[used + 2] = invoked;
      log[used + 3] = answered;
      used += FIELDS;
    }
  }

  /** How many operations there were, each sector counted. */
  public synchronized long operations() {
    return recorders.stream().mapToLong(recorder -> recorder.used / FIELDS).sum();
  }

  /** Null if what was recorded is linearizable, or else why not. All clients have ended. */
  public synchronized @Nullable String violation() {
    Register[] registers = new Register[sectors];
    Arrays.setAll(registers, sector -> new Register());
    for (Recorder recorder : recorders) {
      long[] log = recorder.log;
      for (int at = 0; at < recorder.used; at += FIELDS) {
        Register register = registers[(int) (log[at] >>> SHIFT)];
        if ((log[at] & WRITE) != 0) {
          register.write(log[at + 1], log[at + 2], log[at + 3]);
        } else {
          register.read(log[at + 1], log[at + 2], log[at + 3]);
        }
      }
    }
    for (int sector = 0; sector < sectors; sector++) {
      String violation = registers[sector].violation();
      if (violation != null) {
        return "sector " + sector + ": " + violation;
      }
    }
    return null;
  }
}
