package jpcache.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import jpcache.cache.Computer.AfterCut;
import jpcache.cache.Computer.Window;
import jpcache.media.CacheMode;
import jpcache.pmem.Remains;
import org.jspecify.annotations.Nullable;

/**
 * A long life of a {@link Computer}, by seed: requests, maintenance, settings, faults of the
 * backing device, stops, kills and power cuts at any event, repairs and rescues. After each cut all
 * must be as {@link Inspection} says.
 *
 * <p>A history is a list of deeds that depend on nothing but their parameters, so that any part of
 * it is a history, too: {@link #shortest} leaves out what a failure does not need.
 */
final class CutHistory {
  /** Something that happens. */
  sealed interface Deed {}

  record Write(int queue, int sector, int count, boolean fua) implements Deed {}

  record Zero(int queue, int sector, int count, boolean unmap, boolean fua) implements Deed {}

  record Commit(int queue) implements Deed {}

  record Flush() implements Deed {}

  record Read(int sector, int count) implements Deed {}

  record HoldReads(boolean hold) implements Deed {}

  record Maintain(int laterMs) implements Deed {}

  record SetMode(CacheMode mode) implements Deed {}

  record GcPercent(int percent) implements Deed {}

  record Stop() implements Deed {}

  /** The power is cut so many events later; the seed chooses what that leaves. */
  record Cut(int events, long seed) implements Deed {}

  /** The process is killed so many events later. */
  record Kill(int events) implements Deed {}

  record DeviceFails(int perThousand) implements Deed {}

  record DeviceIsGone(boolean gone) implements Deed {}

  record Repair() implements Deed {}

  record Rescue() implements Deed {}

  /** If the log is empty it goes on so many bytes before its segment's end. */
  record MoveLog(int leftBytes) implements Deed {}

  private final Computer computer;
  private final Inspection inspection;
  private final CutSetting setting;
  private final List<Deed> deeds;

  /** What waits for its event. */
  private @Nullable Deed end;

  private long cuts;
  private long kills;

  CutHistory(Computer computer, CutSetting setting, List<Deed> deeds) {
    this.computer = computer;
    this.setting = setting;
    this.deeds = deeds;
    inspection = new Inspection(computer);
  }

  // ---- making one up ----

  static CutSetting randomSetting(SplittableRandom random) {
    Durability durability = random.nextInt(3) == 0 ? Durability.FLUSH : Durability.ACK;
    int[] gcPercents = {0, 30, 60, 90};
    CacheOptions options =
        CacheOptions.defaults()
            .withLanes(1 + random.nextInt(2))
            .withDurability(durability)
            .withWriteBack(random.nextBoolean() ? 0 : 500, random.nextInt(2) * 100)
            .withKeepPercent(random.nextInt(2) * 50);
    int gcPercent = gcPercents[random.nextInt(gcPercents.length)];
    boolean direct = random.nextBoolean();
    return new CutSetting(
        options,
        random.nextBoolean(),
        gcPercent,
        5 + random.nextInt(4),
        randomMode(random, direct),
        direct);
  }

  private static CacheMode randomMode(SplittableRandom random, boolean direct) {
    List<CacheMode> modes =
        Stream.of(CacheMode.values()).filter(m -> direct || !CutSetting.isDirect(m)).toList();
    return modes.get(random.nextInt(modes.size()));
  }

  static List<Deed> randomDeeds(SplittableRandom random, CutSetting setting, int count) {
    List<Deed> deeds = new ArrayList<>();
    while (deeds.size() < count) {
      deeds.add(randomDeed(random, setting));
    }
    return deeds;
  }

  private static Deed randomDeed(SplittableRandom random, CutSetting setting) {
    int kind = random.nextInt(100);
    if (kind < 32) {
      int[] range = randomRange(random);
      return new Write(random.nextInt(Computer.QUEUES), range[0], range[1], random.nextInt(8) == 0);
    } else if (kind < 39) {
      return randomZero(random);
    } else if (kind == 39) {
      return new SetMode(randomMode(random, setting.direct()));
    } else if (kind < 55) {
      return new Commit(random.nextInt(Computer.QUEUES));
    } else if (kind < 70) {
      return new Maintain(random.nextInt(10) == 0 ? 20_000 : random.nextInt(900));
    } else if (kind < 76) {
      int[] range = randomRange(random);
      return new Read(range[0], range[1]);
    }
    return switch (kind) {
      case 76, 77, 78 -> new Flush();
      case 79, 80 -> new HoldReads(random.nextBoolean());
      case 81 -> new GcPercent(random.nextInt(91));
      case 82, 83 -> new Stop();
      case 84, 85 -> new Kill(random.nextInt(40));
      case 86 -> new DeviceFails(random.nextInt(3) * 400);
      case 87 -> new DeviceIsGone(random.nextInt(3) == 0);
      case 88 -> new Repair();
      case 89 -> new Rescue();
      case 90 -> new MoveLog(24 + 8 * random.nextInt(60));
      default -> new Cut(random.nextInt(40), random.nextLong());
    };
  }

  /** Of sectors that are used, or of all that there are. */
  private static Deed randomZero(SplittableRandom random) {
    int[] range = random.nextInt(8) == 0 ? new int[] {0, Computer.SECTORS} : randomRange(random);
    return new Zero(
        random.nextInt(Computer.QUEUES),
        range[0],
        range[1],
        random.nextBoolean(),
        random.nextInt(8) == 0);
  }

  private static int[] randomRange(SplittableRandom random) {
    Window window = Computer.WINDOWS.get(random.nextInt(Computer.WINDOWS.size()));
    int count = 1 + random.nextInt(random.nextInt(8) == 0 ? window.count() : 8);
    return new int[] {window.first() + random.nextInt(window.count() - count + 1), count};
  }

  // ---- living it ----

  long cuts() {
    return cuts;
  }

  long kills() {
    return kills;
  }

  /** Runs from an empty cache on. Throws AssertionError if something is not as it must be. */
  void run() {
    computer.format(setting);
    for (Deed deed : deeds) {
      if (computer.isCut(() -> perform(deed))) {
        comeUpAgain();
      }
    }
    computer.power.stay();
    soundDevice();
    computer.settle();
    computer.stop();
    inspection.all();
    inspection.rescue();
    inspection.all();
  }

  private void soundDevice() {
    computer.backing.comeBack();
    computer.backing.fail(0);
  }

  private void perform(Deed deed) {
    switch (deed) {
      case Write write -> computer.write(write.queue, write.sector, write.count, write.fua);
      case Zero z -> computer.zero(z.queue, z.sector, z.count, z.unmap, z.fua);
      case Commit commit -> computer.commit(commit.queue);
      case Flush flush -> computer.flush();
      case Read read -> computer.read(read.sector, read.count);
      case HoldReads held when held.hold -> computer.holdReads();
      case HoldReads released -> computer.releaseReads();
      case Maintain maintain -> computer.step(maintain.laterMs);
      case SetMode to -> computer.setMode(to.mode);
      case GcPercent gc -> computer.setGcPercent(gc.percent);
      case Stop stop -> computer.stop();
      case Cut cut -> endIn(cut.events, cut);
      case Kill kill -> endIn(kill.events, kill);
      case DeviceFails fails -> computer.backing.fail(fails.perThousand);
      case DeviceIsGone(boolean gone) when gone && !setting.direct() ->
          computer.backing.disappear(); // with what it had answered and not flushed
      case DeviceIsGone back -> computer.backing.comeBack();
      case Repair repair -> offline(inspection::repair);
      case Rescue rescue -> offline(inspection::rescue);
      case MoveLog move -> offline(() -> moveLog(move.leftBytes));
    }
  }

  private void endIn(int events, Deed how) {
    if (end == null) {
      end = how;
      computer.power.cutAfter(events);
    }
  }

  private void offline(Runnable tool) {
    computer.stop();
    soundDevice();
    tool.run();
  }

  private void moveLog(int leftBytes) {
    if (end == null && computer.media().keyTail().equals(computer.head())) {
      computer.moveEmptyLog(leftBytes);
    }
  }

  private void comeUpAgain() {
    AfterCut after = computer.afterCut();
    if (end instanceof Cut cut) {
      cuts++;
      SplittableRandom random = new SplittableRandom(cut.seed);
      Remains.State state = after.pmem().random(random);
      computer.leave(after, state, random);
    } else {
      kills++;
      computer.leaveRunning(after);
    }
    end = null;
    inspection.all();
  }

  // ---- and less of it ----

  /** A part of these deeds that still fails, from which no more can be left out one by one. */
  static List<Deed> shortest(Computer computer, CutSetting setting, List<Deed> failing) {
    List<Deed> deeds = failing;
    for (int chunk = deeds.size() / 2; chunk > 0; chunk /= 2) {
      for (int from = 0; from < deeds.size(); ) {
        List<Deed> fewer = new ArrayList<>(deeds.subList(0, from));
        fewer.addAll(deeds.subList(Math.min(from + chunk, deeds.size()), deeds.size()));
        if (fails(computer, setting, fewer)) {
          deeds = fewer;
        } else {
          from += chunk;
        }
      }
    }
    return deeds;
  }

  private static boolean fails(Computer computer, CutSetting setting, List<Deed> deeds) {
    try {
      new CutHistory(computer, setting, deeds).run();
      return false;
    } catch (AssertionError | RuntimeException e) {
      return true;
    }
  }
}
