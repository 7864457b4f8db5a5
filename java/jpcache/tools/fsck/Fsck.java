package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.media.MediaException;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Checks a cache device by rules of its own, which share nothing with the engine but the readers of
 * the format:
 *
 * <pre>
 *   1 superblock     2 cache info     3 segments     4 tails
 *   5 key log        6 data crc       7 backing device
 * </pre>
 *
 * Nothing is written: a finding may carry its repair, which {@link FsckReport#repair} makes.
 *
 * <p>A phase goes on behind a fault where that makes sense; a structure that cannot be believed at
 * all ends the check, or the part of it that builds on the structure. What a phase holds in memory
 * is bounded, except that phase 7 keeps the extents of the logical device.
 *
 * <p>Used by one thread. docs/fsck.md describes every finding.
 */
public final class Fsck {
  /** A phase's work: adds what it finds and returns what it looked at. */
  @FunctionalInterface
  interface Work {
    String run(Consumer<Finding> findings);
  }

  private final String device;
  private final MemorySegment view;
  private final @Nullable BackingDevice backing;
  private final boolean cutLog;
  private final Consumer<Phase> listener;
  private final List<Phase> phases = new ArrayList<>();

  /**
   * A check of a cache device.
   *
   * @param device how users call it
   * @param view its bytes
   * @param backing the device behind it, or null to leave phase 7 out
   * @param cutLog whether the repair of a log that leads out of the cache is to cut it there
   * @param listener is told of every phase when it has ended
   */
  public Fsck(
      String device,
      MemorySegment view,
      @Nullable BackingDevice backing,
      boolean cutLog,
      Consumer<Phase> listener) {
    this.device = device;
    this.view = view;
    this.backing = backing;
    this.cutLog = cutLog;
    this.listener = listener;
  }

  /** Runs all phases that can be run. */
  public FsckReport run() {
    MetadataCheck metadata = new MetadataCheck(view);
    if (!phase("superblock", metadata::superblock)
        || !phase("cache info", metadata::cacheInfo)
        || !phase("segments", metadata::segments)) {
      return new FsckReport(phases, null);
    }
    TailsCheck tails = new TailsCheck(device, view, metadata, cutLog);
    if (phase("tails", tails::run)) {
      LogCheck log = new LogCheck(tails, cutLog);
      boolean walked = phase("key log", log::run) && tails.chain().broken() == null;
      DataCrcCheck crc = new DataCrcCheck(tails.media());
      phase("data crc", walked ? crc::run : Fsck::notReached);
      BackingDevice device = backing;
      if (device != null) {
        BackingCheck compare = new BackingCheck(tails.media(), device);
        phase("backing device", walked ? compare::run : Fsck::notReached);
      }
    }
    return new FsckReport(phases, metadata.segmentList());
  }

  private static String notReached(Consumer<Finding> findings) {
    return "not checked: the key log has no sound end";
  }

  /**
   * Runs a phase.
   *
   * @return whether it came to its end
   */
  private boolean phase(String title, Work work) {
    Phase phase = new Phase(phases.size() + 1, title);
    phases.add(phase);
    Optional<Finding> fatal = Optional.empty();
    try {
      phase.summary(work.run(phase::add));
    } catch (MediaException e) {
      fatal = Optional.of(Finding.problem(e));
    } catch (PoisonedMemoryException e) {
      fatal = Optional.of(poisoned(e));
    }
    fatal.ifPresent(finding -> {
      phase.add(finding);
      phase.summary("cannot be believed");
    });
    listener.accept(phase);
    return fatal.isEmpty();
  }

  static Finding poisoned(PoisonedMemoryException e) {
    return Finding.problem(
        "memory", e.offsetBytes(), "cannot be read", "poisoned, or beyond the end of a file");
  }
}
