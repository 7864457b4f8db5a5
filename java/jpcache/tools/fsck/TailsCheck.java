package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.function.Consumer;
import jpcache.base.Crc32c;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.media.LogChain;
import jpcache.media.MediaException;
import jpcache.media.Position;
import jpcache.media.Replicas;
import jpcache.media.ReplicatedSlot;
import org.jspecify.annotations.Nullable;

/**
 * Phase 4: the tails. The log is walked once here, to see whether they fit together; the phases
 * behind this one know then where it begins and how far it can be walked.
 */
final class TailsCheck {
  private final String device;
  private final MemorySegment view;
  private final MetadataCheck metadata;
  private final boolean cutLog;
  private final Crc32c crc = new Crc32c();
  private @Nullable CacheMedia media;
  private @Nullable LogChain chain;
  private boolean endIsEvidence;

  TailsCheck(String device, MemorySegment view, MetadataCheck metadata, boolean cutLog) {
    this.device = device;
    this.view = view;
    this.metadata = metadata;
    this.cutLog = cutLog;
  }

  /** The media with the tails as they will be; where that is not known all of the log is dirty. */
  CacheMedia media() {
    return Objects.requireNonNull(media, "phase 4 has not been run");
  }

  /** The chain from that key_tail on. */
  LogChain chain() {
    return Objects.requireNonNull(chain, "phase 4 has not been run");
  }

  /**
   * Whether the end of the chain must stay as it is: how it looks there is all that tells a damaged
   * log from an old dirty_tail.
   */
  boolean endIsEvidence() {
    return endIsEvidence;
  }

  String run(Consumer<Finding> findings) {
    int segments = metadata.info().segments();
    Position keyTail = Position.readKeyTail(view, segments, crc);
    MetadataCheck.replicas(ReplicatedSlot.keyTail().inspect(view, crc), findings);
    Position dirtyTail;
    try {
      dirtyTail = Position.readDirtyTail(view, segments, crc);
    } catch (MediaException e) {
      lost(Finding.problem(e), withTails(keyTail, keyTail), findings);
      return "key_tail " + keyTail + ", dirty_tail lost";
    }
    judged(DirtyPart.of(withTails(keyTail, dirtyTail)), findings);
    return "key_tail " + keyTail + ", dirty_tail " + dirtyTail;
  }

  private CacheMedia withTails(Position keyTail, Position dirtyTail) {
    return new CacheMedia(
        device,
        view,
        metadata.superblock(),
        metadata.info(),
        metadata.segmentList(),
        keyTail,
        dirtyTail);
  }

  /** Without dirty_tail nothing tells whether what a damaged log still shows was written back. */
  private void lost(Finding finding, CacheMedia read, Consumer<Finding> findings) {
    media = read;
    LogChain log = LogChain.ofKeyTail(read);
    chain = log;
    if (log.endsWell() || (cutLog && !log.poisoned())) {
      findings.accept(writesKeyTail(finding, read.keyTail()));
      return;
    }
    endIsEvidence = true;
    String why =
        Finding.NO_REPAIR
            + " because the key log from key_tail "
            + read.keyTail()
            + " on ends "
            + log.endTold()
            + ": data that was written over since may come back";
    findings.accept(
        finding.advising(
            log.poisoned()
                ? why
                : why + "; --repair --cut-log would write key_tail there, copy the cache before"));
  }

  private void judged(DirtyPart part, Consumer<Finding> findings) {
    Replicas replicas = ReplicatedSlot.dirtyTail().inspect(view, crc);
    if (part.where() == DirtyPart.Where.FROM_DIRTY_TAIL) {
      MetadataCheck.replicas(replicas, findings);
      media = part.media();
      chain = part.log();
      return;
    }
    // A torn replica says that dirty_tail may be an old one: made whole, it would say the contrary.
    MetadataCheck.replicas(
        replicas,
        finding ->
            findings.accept(
                finding.left(Finding.NO_REPAIR + " as long as dirty_tail is not on the log")));
    Finding finding =
        Finding.problem(
            "dirty_tail",
            ReplicatedSlot.dirtyTail().offsetBytes(),
            part.media().dirtyTail().toString(),
            part.wrong());
    findings.accept(
        switch (part.where()) {
          case FROM_DIRTY_TAIL -> throw new IllegalStateException("dirty_tail is on the log");
          case ALL -> old(part, finding);
          case BEHIND_DAMAGE -> behindDamage(part, finding);
          case IN_DOUBT -> inDoubt(part, finding);
        });
  }

  private Finding old(DirtyPart part, Finding finding) {
    Position keyTail = part.media().keyTail();
    media = withTails(keyTail, keyTail);
    chain = part.log();
    boolean walked = part.log().broken() == null || cutLog;
    return walked && !part.log().poisoned() ? writesKeyTail(finding, keyTail) : finding;
  }

  private Finding behindDamage(DirtyPart part, Finding finding) {
    Position dirtyTail = part.media().dirtyTail();
    media = withTails(dirtyTail, dirtyTail);
    chain = part.dirtyLog();
    boolean walked = part.dirtyLog().broken() == null || cutLog;
    return walked && !part.dirtyLog().poisoned() ? writesDirtyTail(finding, dirtyTail) : finding;
  }

  /**
   * Where the newest dirty_tail stands apart from a whole log, a person may say that it is right.
   */
  private Finding inDoubt(DirtyPart part, Finding finding) {
    if (part.newest() && cutLog) {
      return behindDamage(part, finding);
    }
    Position keyTail = part.media().keyTail();
    media = withTails(keyTail, keyTail);
    chain = part.log();
    endIsEvidence = true;
    String copy = Finding.NO_REPAIR + ": copy the cache before anything else is done to it";
    return finding.advising(
        part.newest()
            ? copy
                + "; --repair --cut-log would write dirty_tail as key_tail, which is right if a bad"
                + " block was cleared"
            : copy);
  }

  private static Finding writesKeyTail(Finding finding, Position keyTail) {
    return finding.repairedBy(
        "writes key_tail " + keyTail + " there: all key sets are written back again",
        writer -> {
          writer.dirtyTail(keyTail);
          writer.dirtyTail(keyTail); // and in the place of the bad one
        });
  }

  private static Finding writesDirtyTail(Finding finding, Position dirtyTail) {
    return finding.repairedBy(
        "writes dirty_tail "
            + dirtyTail
            + " as key_tail: all before it is on the backing device, and what was cached of it is"
            + " forgotten",
        writer -> {
          writer.keyTail(dirtyTail);
          writer.keyTail(dirtyTail); // no replica leads to the damage any more
        });
  }
}
