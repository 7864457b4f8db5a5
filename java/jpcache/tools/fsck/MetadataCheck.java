package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.Objects;
import java.util.function.Consumer;
import jpcache.base.Crc32c;
import jpcache.media.CacheInfo;
import jpcache.media.Replicas;
import jpcache.media.Replicas.State;
import jpcache.media.ReplicatedSlot;
import jpcache.media.SegmentList;
import jpcache.media.Superblock;
import org.jspecify.annotations.Nullable;

/** Phases 1 to 3: superblock, cache info, segments. */
final class MetadataCheck {
  private final MemorySegment view;
  private final Crc32c crc = new Crc32c();
  private @Nullable Superblock superblock;
  private @Nullable CacheInfo info;
  private @Nullable SegmentList segments;

  MetadataCheck(MemorySegment view) {
    this.view = view;
  }

  Superblock superblock() {
    return Objects.requireNonNull(superblock, "phase 1 has not been run");
  }

  CacheInfo info() {
    return Objects.requireNonNull(info, "phase 2 has not been run");
  }

  SegmentList segmentList() {
    return Objects.requireNonNull(segments, "phase 3 has not been run");
  }

  String superblock(Consumer<Finding> findings) {
    LabelCheck.run(view, findings);
    Superblock read = Superblock.read(view, crc);
    superblock = read;
    return read.segments() + " segments of 16 MiB";
  }

  String cacheInfo(Consumer<Finding> findings) {
    ReplicatedSlot slot = ReplicatedSlot.cacheInfo();
    Replicas replicas = slot.inspect(view, crc);
    CacheInfo read = CacheInfo.read(view, superblock(), crc);
    info = read;
    replicas(replicas, findings);
    return String.format(
        "replica %d is current: %d segments, %s, data crc %s, gc %d %%",
        replicas.current(),
        read.segments(),
        read.mode(),
        read.dataCrc() ? "on" : "off",
        read.gcPercent());
  }

  String segments(Consumer<Finding> findings) {
    SegmentList read = SegmentList.read(view, superblock(), info(), crc);
    segments = read;
    int recycled = 0;
    for (int i = 0; i < read.count(); i++) {
      replicas(ReplicatedSlot.segmentInfo(read.deviceSegment(i)).inspect(view, crc), findings);
      generation(i, findings);
      recycled += read.generation(i) != 0 ? 1 : 0;
    }
    return read.count() + " in the list, " + recycled + " of them recycled before";
  }

  /** No valid replica means generation 0, which is right as long as none was ever written. */
  private void generation(int cacheSegment, Consumer<Finding> findings) {
    ReplicatedSlot slot = ReplicatedSlot.generation(segmentList().deviceSegment(cacheSegment));
    Replicas replicas = slot.inspect(view, crc);
    if (replicas.current() >= 0) {
      replicas(replicas, findings);
      return;
    }
    int torn = Collections.frequency(replicas.states(), State.TORN);
    Finding lost =
        Finding.problem(
            "generation.crc",
            slot.offsetBytes(),
            "both replicas of cache segment " + cacheSegment,
            "neither is valid, and something was written: generation 0 may bring old keys back");
    if (torn == 1) {
      // The first generation that was ever written: the power was cut, and 0 still stands.
      findings.accept(
          lost.asNotice()
              .repairedBy(
                  "writes generation 0",
                  writer -> {
                    writer.generation(cacheSegment, 0);
                    writer.generation(cacheSegment, 0); // whichever replica is the torn one
                  }));
    } else if (torn > 1) {
      findings.accept(lost);
    }
  }

  /** The findings about two replicas of which at least one is valid. */
  static void replicas(Replicas replicas, Consumer<Finding> findings) {
    ReplicatedSlot slot = replicas.slot();
    for (int replica = 0; replica < replicas.states().size(); replica++) {
      if (replicas.states().get(replica) == State.TORN) {
        findings.accept(
            Finding.problem(
                    slot.structure() + ".crc",
                    slot.offsetBytes(replica),
                    "replica " + replica,
                    "torn; the other one is in force")
                .asNotice()
                .repairedBy("writes the version in force over it", writer -> writer.rewrite(slot)));
      }
    }
    if (replicas.ambiguous()) {
      findings.accept(
          Finding.problem(
                  slot.structure() + ".seq",
                  slot.offsetBytes(),
                  "both replicas",
                  "valid and different, and neither is later")
              .repairedBy(
                  "writes again what every reader takes, that of replica " + replicas.current(),
                  writer -> writer.rewrite(slot)));
    }
  }
}
