package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.Objects;
import java.util.function.Consumer;
import jpcache.base.Crc32c;
import jpcache.media.CacheMedia;
import jpcache.media.LogReader;
import jpcache.media.MediaException;
import jpcache.media.Position;
import jpcache.media.ReplicatedSlot;
import org.jspecify.annotations.Nullable;

/**
 * Phase 4: the tails. The chain of key sets that starts at key_tail is walked once here, to see
 * whether dirty_tail is on it; the phases behind this one know then how far it can be walked.
 */
final class TailsCheck {
  /**
   * The chain from key_tail on.
   *
   * @param end where it ends, or where the kset is that cannot be believed
   * @param broken what is wrong with that kset; null if there is none
   * @param segments the cache segments that it comes through
   */
  record Chain(
      Position end, @Nullable MediaException broken, BitSet segments, boolean hasDirtyTail) {}

  private final String device;
  private final MemorySegment view;
  private final MetadataCheck metadata;
  private final boolean cutLog;
  private final Crc32c crc = new Crc32c();
  private @Nullable CacheMedia media;
  private @Nullable Chain chain;

  TailsCheck(String device, MemorySegment view, MetadataCheck metadata, boolean cutLog) {
    this.device = device;
    this.view = view;
    this.metadata = metadata;
    this.cutLog = cutLog;
  }

  /** The media; dirty_tail is key_tail if it cannot be believed. */
  CacheMedia media() {
    return Objects.requireNonNull(media, "phase 4 has not been run");
  }

  Chain chain() {
    return Objects.requireNonNull(chain, "phase 4 has not been run");
  }

  String run(Consumer<Finding> findings) {
    int segments = metadata.info().segments();
    Position keyTail = Position.readKeyTail(view, segments, crc);
    MetadataCheck.replicas(ReplicatedSlot.keyTail().inspect(view, crc), findings);
    Position dirtyTail = dirtyTail(segments, keyTail, findings);
    CacheMedia read = withTails(keyTail, dirtyTail == null ? keyTail : dirtyTail);
    Chain walked = walk(read);
    if (dirtyTail != null && !walked.hasDirtyTail()) {
      findings.accept(offTheChain(read, walked));
      read = withTails(keyTail, keyTail);
    }
    media = read;
    chain = walked;
    return "key_tail " + keyTail + ", dirty_tail " + (dirtyTail == null ? "lost" : dirtyTail);
  }

  private @Nullable Position dirtyTail(int segments, Position keyTail, Consumer<Finding> findings) {
    Position dirtyTail;
    try {
      dirtyTail = Position.readDirtyTail(view, segments, crc);
    } catch (MediaException e) {
      findings.accept(writesKeyTail(Finding.problem(e), keyTail));
      return null;
    }
    MetadataCheck.replicas(ReplicatedSlot.dirtyTail().inspect(view, crc), findings);
    return dirtyTail;
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

  private Finding offTheChain(CacheMedia media, Chain walked) {
    Finding finding =
        Finding.problem(
            "dirty_tail",
            ReplicatedSlot.dirtyTail().offsetBytes(),
            media.dirtyTail().toString(),
            behind(media)
                ? "behind key_tail " + media.keyTail()
                : "no key set of the chain that starts at key_tail "
                    + media.keyTail()
                    + " begins there");
    // Of a broken chain dirty_tail may lie on the part that cannot be walked.
    return walked.broken() == null || cutLog ? writesKeyTail(finding, media.keyTail()) : finding;
  }

  private static Finding writesKeyTail(Finding finding, Position keyTail) {
    return finding.repairedBy(
        "writes key_tail " + keyTail + " there: all key sets are written back again",
        writer -> {
          writer.dirtyTail(keyTail);
          writer.dirtyTail(keyTail); // and in the place of the bad one
        });
  }

  private static Chain walk(CacheMedia media) {
    LogReader reader = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    boolean hasDirtyTail = false;
    Position end;
    MediaException broken = null;
    try {
      while (reader.next()) {
        hasDirtyTail |= reader.ksetPosition().equals(media.dirtyTail());
      }
      end = reader.head();
    } catch (MediaException e) {
      end = reader.ksetPosition();
      broken = e;
    }
    hasDirtyTail |= end.equals(media.dirtyTail());
    return new Chain(end, broken, (BitSet) reader.segmentsVisited().clone(), hasDirtyTail);
  }

  /** Whether the log leads from dirty_tail to key_tail. */
  private static boolean behind(CacheMedia media) {
    LogReader reader = new LogReader(media, media.dirtyTail(), Long.MAX_VALUE);
    try {
      while (reader.next()) {
        if (reader.head().equals(media.keyTail())) {
          return true;
        }
      }
    } catch (MediaException e) {
      // What is not the log may hold anything.
    }
    return false;
  }
}
